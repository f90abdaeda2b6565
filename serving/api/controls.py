"""What users decide themselves: checked, durable in the inbox, then served, then answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from serving.api import events
from serving.api.catalog import attribute_names
from serving.api.errors import ApiError, EventSinkError, unavailable
from serving.errors import ErasedError, StoreError
from serving.overlay import EVERYWHERE, PERSONALIZATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from serving.api.cache import Cache
    from serving.api.metrics import Metrics
    from serving.api.settings import EventSink, Ports
    from serving.overlay import Declared


@dataclass(frozen=True, slots=True)
class Statement:
    """A user's word, before it has a time and an id.

    Attributes:
        event_name: What it is called in telemetry.
        attributes: Of its event, without the user.
        fields: Of its control.
    """

    event_name: str
    attributes: Mapping[str, str | bool]
    fields: Mapping[str, Any]


NO_FIELDS = {
    "dimension": None,
    "context": EVERYWHERE,
    "value": None,
    "purpose": None,
    "granted": None,
}


def preference_set(declared: Declared, dimension: str, value: str, context: str) -> Statement:
    """Check a setting against what is declared.

    Raises:
        ApiError: 404 no such dimension, 403 not the user's to decide, 422 no such value or context.
    """
    fields = _dimension(declared, dimension)
    values = [each["value"] for each in fields["values"] or []]
    if value not in values:
        raise _unprocessable("unknown_value", f"{dimension} is one of {', '.join(values)}")
    if context != EVERYWHERE:
        names = tuple(part.partition("=")[0] for part in context.split(","))
        if names != attribute_names(fields["context_attributes"]):
            known = ",".join(f"{n}=..." for n in attribute_names(fields["context_attributes"]))
            raise _unprocessable("unknown_context", f"a context is {known or 'none here:'} or all")
    attributes: dict[str, str | bool] = {
        "preference.dimension": dimension,
        "preference.value": value,
    }
    if context != EVERYWHERE:
        attributes["preference.context"] = context
    return Statement(
        events.PREFERENCE_SET,
        attributes,
        NO_FIELDS
        | {"kind": "preference_set", "dimension": dimension, "value": value, "context": context},
    )


def preference_cleared(declared: Declared, dimension: str) -> Statement:
    """Forget a dimension in every context.

    Raises:
        ApiError: 404 no such dimension, 403 not the user's to decide.
    """
    _dimension(declared, dimension)
    return Statement(
        events.PREFERENCE_CLEARED,
        {"preference.dimension": dimension},
        NO_FIELDS | {"kind": "preference_cleared", "dimension": dimension},
    )


def consent_changed(declared: Declared, purpose: str, *, is_granted: bool) -> Statement:
    """Grant or withdraw a purpose.

    Raises:
        ApiError: 404 no such purpose.
    """
    if purpose not in declared.purposes:
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            "unknown_purpose",
            f"purposes are {', '.join(sorted(declared.purposes)) or 'not known before a sync'}",
        )
    return Statement(
        events.CONSENT_CHANGED,
        {"consent.purpose": purpose, "consent.granted": is_granted},
        NO_FIELDS | {"kind": "consent_changed", "purpose": purpose, "granted": is_granted},
    )


class Controls:
    """Makes statements durable and effective."""

    def __init__(self, cache: Cache, ports: Ports, metrics: Metrics) -> None:
        self._cache = cache
        self._ports = ports
        self._metrics = metrics
        self._last: datetime | None = None

    async def state(self, user_id: str, keys: Sequence[str], statement: Statement) -> str:
        """Put a statement into force and return its event's id.

        It is durable before it is served, and served before this returns. Somebody who hangs up
        in between has been heard all the same.

        Args:
            user_id: The raw id, which only the inbox sees.
            keys: The user's pseudonyms, newest first.
            statement: What was said.

        Raises:
            ApiError: 409 the user was erased or has not consented to personalization, 503 the inbox
                or the cache does not take it, or too much waits for the cache already.
        """
        return await asyncio.shield(self._state(user_id, keys, statement))

    async def erase(self, user_id: str, keys: Sequence[str]) -> str:
        """Record a request for erasure, empty the cache of the user, and return the event's id.

        Raises:
            ApiError: 503, the inbox or the cache does not take it, or too much waits for the cache
                already.
        """
        return await asyncio.shield(self._erase(user_id, keys))

    async def _state(self, user_id: str, keys: Sequence[str], statement: Statement) -> str:
        self._require_room()
        event_id, at = events.new_event_id(), self._moment()
        await append_event(
            self._ports.events,
            self._metrics,
            statement.event_name,
            {"user.id": user_id, **statement.attributes},
            event_id=event_id,
            at=at,
        )
        payload = {**statement.fields, "occurred_at": f"{at.isoformat()}Z"}
        try:
            await self._cache.outbox.put(keys, event_id, orjson.dumps(payload))
        except ErasedError as error:
            raise erased() from error
        except StoreError as error:
            raise _not_served() from error
        return event_id

    async def _erase(self, user_id: str, keys: Sequence[str]) -> str:
        self._require_room()
        event_id = events.new_event_id()
        await append_event(
            self._ports.events,
            self._metrics,
            events.ERASURE_REQUESTED,
            {"user.id": user_id},
            event_id=event_id,
            at=self._moment(),
        )
        try:
            await self._cache.outbox.put(keys, event_id, None)
        except StoreError as error:
            raise _not_served() from error
        return event_id

    def _require_room(self) -> None:
        """Take nothing that could not be kept until the cache takes it."""
        if self._cache.outbox.is_full:
            raise unavailable(
                "too_many_waiting",
                "not recorded: the cache cannot be written now, and too much waits for it already; "
                "say it again later",
                retry_after=5,
            )

    def _moment(self) -> datetime:
        """The present, later than any statement before: the last word holds."""
        now = self._ports.now()
        if self._last is not None and now <= self._last:
            now = self._last + self._last.resolution
        self._last = now
        return now


async def append_event(
    sink: EventSink,
    metrics: Metrics,
    name: str,
    attributes: Mapping[str, str | bool | float],
    *,
    event_id: str,
    at: datetime,
    trace: events.Trace | None = None,
) -> None:
    """Make an event durable.

    Raises:
        ApiError: 503, it is not.
    """
    line = events.event_line(name, attributes, event_id=event_id, at=at, trace=trace)
    try:
        await sink.append(line)
    except EventSinkError as error:
        raise unavailable("inbox_unavailable", str(error), retry_after=5) from error
    metrics.events.labels(name).inc()


def require_consent(consent: Mapping[str, bool]) -> None:
    """A preference that is stated without consent would not count.

    Raises:
        ApiError: 409, there is no consent to personalization.
    """
    if not consent.get(PERSONALIZATION, False):
        raise ApiError(
            HTTPStatus.CONFLICT,
            "consent_required",
            "the user has not consented to personalization: PUT .../consents/personalization first",
        )


def erased() -> ApiError:
    """The answer to whoever was erased and speaks again."""
    return ApiError(
        HTTPStatus.CONFLICT, "erased", "the user was erased; nothing is stored of them any more"
    )


def _not_served() -> ApiError:
    return unavailable(
        "cache_unavailable",
        "recorded, and in force here, but the cache cannot be written now: whoever reads it "
        "directly may still be served what was there before. It is written as soon as it can be",
    )


def _dimension(declared: Declared, dimension: str) -> Mapping[str, Any]:
    fields = declared.dimensions.get(dimension)
    if fields is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            "unknown_dimension",
            f"dimensions are {', '.join(sorted(declared.dimensions)) or 'not known before a sync'}",
        )
    if not fields["is_user_controllable"]:
        raise ApiError(
            HTTPStatus.FORBIDDEN, "not_controllable", f"{dimension} is not for users to decide"
        )
    return fields


def _unprocessable(code: str, detail: str) -> ApiError:
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail)
