"""OFREP and decisions: evaluate, record what was decided, answer as the protocol says."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from serving.api import events
from serving.api.catalog import EVERYWHERE
from serving.api.controls import append_event
from serving.api.decide import (
    MISSING,
    Evaluation,
    UnitMissingError,
    attribute_text,
    context_attributes,
    context_of,
    draw,
    evaluate_decision,
    evaluate_experiment,
    evaluate_preference,
)
from serving.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.api.cache import Cache
    from serving.api.catalog import DecisionPoint
    from serving.api.events import Trace
    from serving.api.metrics import Metrics
    from serving.api.profiles import Profiles
    from serving.api.settings import Ports

# written by the API itself, whatever the context says
RESERVED = ("feature_flag.", "decision.", "user.id", "enduser.", "log.record.uid")
ATTRIBUTE_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom something is evaluated.

    Attributes:
        raw_id: The raw id, which only the inbox sees.
        keys: The user's pseudonyms; the last one is stable.
    """

    raw_id: str
    keys: Sequence[str]

    @property
    def unit(self) -> str:
        """The pseudonym that buckets are made of."""
        return self.keys[-1]


@dataclass(frozen=True, slots=True)
class Request:
    """An evaluation request.

    Attributes:
        subject: For whom.
        attributes: The evaluation context but for the targeting key.
        trace: Where it happens; outside of a trace without ids.
    """

    subject: Subject
    attributes: Mapping[str, Any]
    trace: Trace


class FlagError(Exception):
    """A flag that cannot be evaluated; code and detail are OFREP's."""

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class Flags:
    """Evaluates flags and writes the events of what was decided."""

    def __init__(self, cache: Cache, profiles: Profiles, ports: Ports, metrics: Metrics) -> None:
        self._cache = cache
        self._profiles = profiles
        self._ports = ports
        self._metrics = metrics

    async def decide(
        self, point_name: str, context: str | None, subject: Subject, trace: Trace
    ) -> dict[str, Any]:
        """Draw an action, record it, and say it with the event that a client may log as well.

        Raises:
            ApiError: 404 no such decision point, 422 not a context of it, 503 nothing was synced yet or the inbox is full.
        """
        catalog = self._cache.catalog
        point = catalog.decision_points.get(point_name)
        decision = None
        if point is not None:
            named = named_context(point, context)
            decision = draw(point, named, subject.unit, trace.trace_id)
        if decision is None:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                "unknown_decision_point",
                f"decision points are {', '.join(sorted(catalog.decision_points)) or 'none yet'}",
            )
        evaluation = evaluate_decision(decision)
        attributes = context_attributes(decision.point, decision.context)
        own = exposure_attributes(evaluation, Request(subject, attributes, trace))
        event_id = await self._record(own, trace)
        return {
            "decision_point": point_name,
            "context": decision.context,
            "action": decision.action,
            "propensity": decision.propensity,
            "position": decision.point.position,
            "trace_id": trace.trace_id,
            "event_id": event_id,
            "event": {"name": events.EXPOSURE, "attributes": own},
            "freshness": orjson.loads(self._profiles.freshness()),
        }

    async def evaluate(self, key: str, request: Request) -> Evaluation:
        """Evaluate one flag, and record the exposure or decision.

        Raises:
            FlagError: there is no such flag, or the context lacks what it needs.
            ApiError: 503, the exposure cannot be recorded.
        """
        trace = request.trace if request.trace.trace_id else events.new_trace()
        evaluation = self._evaluation(key, request, occasion=trace.trace_id)
        if evaluation.is_exposure:
            await self._record(exposure_attributes(evaluation, request), request.trace)
        return evaluation

    def evaluate_all(self, request: Request) -> tuple[list[Evaluation], list[dict[str, Any]]]:
        """Evaluate every flag, for a client that keeps the answers.

        Nothing is recorded: the client acts on some of them later, or on none. A decision that was
        never acted on would earn what other causes bring, and count as if its action had.

        Without a trace a decision stays as it is until its policy changes.

        Returns:
            The evaluations, and OFREP errors of the flags that have none.
        """
        catalog = self._cache.catalog
        evaluations: list[Evaluation] = []
        failures: list[dict[str, Any]] = []
        for key in sorted(
            {*catalog.experiments, *catalog.decision_points, *catalog.declared.dimensions}
        ):
            point = catalog.decision_points.get(key)
            occasion = request.trace.trace_id or str(point.generation if point else 0)
            try:
                evaluations.append(self._evaluation(key, request, occasion=occasion))
            except FlagError as error:
                failures.append({"key": key, "errorCode": error.code, "errorDetails": error.detail})
        return evaluations, failures

    def _evaluation(self, key: str, request: Request, *, occasion: str) -> Evaluation:
        catalog = self._cache.catalog
        if (experiment := catalog.experiments.get(key)) is not None:
            try:
                return evaluate_experiment(
                    catalog,
                    experiment,
                    request.attributes,
                    unit=request.subject.unit,
                    pseudonym=lambda raw: self._ports.pseudonyms(raw)[-1],
                    now=self._ports.now(),
                )
            except UnitMissingError as error:
                raise FlagError(
                    HTTPStatus.BAD_REQUEST,
                    "INVALID_CONTEXT",
                    f"{key} is assigned by {error.attribute}, which the context lacks",
                ) from error
        if (point := catalog.decision_points.get(key)) is not None:
            context = context_of(point, request.attributes)
            decision = draw(point, context, request.subject.unit, occasion)
            if decision is not None:
                return evaluate_decision(decision)
        if (dimension := catalog.declared.dimensions.get(key)) is not None:
            served = self._profiles.read(request.subject.keys)
            return evaluate_preference(
                dimension,
                orjson.loads(served.payload)["preferences"],
                request.attributes,
                is_degraded=served.default_reason in ("stale", "cache_unavailable"),
            )
        raise FlagError(HTTPStatus.NOT_FOUND, "FLAG_NOT_FOUND", "there is no such flag")

    async def _record(self, attributes: Mapping[str, str | bool | float], trace: Trace) -> str:
        event_id = events.new_event_id()
        await asyncio.shield(
            append_event(
                self._ports.events,
                self._metrics,
                events.EXPOSURE,
                attributes,
                event_id=event_id,
                at=self._ports.now(),
                trace=trace,
            )
        )
        return event_id


def named_context(point: DecisionPoint, context: str | None) -> str:
    """Return the context as the warehouse names it; None: nothing is known of it.

    Raises:
        ApiError: 422, it has not as many parts as the decision point has attributes.
    """
    names = point.context_attributes
    if context is None:
        return ",".join(MISSING for _ in names) or EVERYWHERE
    if len(context.split(",")) != len(names) and (names or context != EVERYWHERE):
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "unknown_context",
            f"a context is {','.join(names)}" if names else f"the only context is {EVERYWHERE}",
        )
    return context


def exposure_attributes(evaluation: Evaluation, request: Request) -> dict[str, str | bool | float]:
    """Write what was evaluated as the attributes of its event, with the scalars of the context."""
    own: dict[str, str | bool | float] = {
        "feature_flag.key": evaluation.key,
        "feature_flag.result.variant": evaluation.variant,
        "feature_flag.result.reason": evaluation.reason.lower(),
        "feature_flag.provider.name": events.PROVIDER,
        "feature_flag.context.id": request.subject.raw_id,
    }
    if evaluation.propensity is not None:
        own["decision.propensity"] = evaluation.propensity
        own["decision.position"] = evaluation.metadata["position"]
    said = {
        name: value
        for name, value in request.attributes.items()
        if not name.startswith(RESERVED) and 0 < len(attribute_text(value)) <= ATTRIBUTE_CHARACTERS
    }
    return said | own


def flag_body(evaluation: Evaluation) -> dict[str, Any]:
    """Write an evaluation as OFREP has it; without a value the client's own default holds."""
    body = {
        "key": evaluation.key,
        "reason": evaluation.reason,
        "variant": evaluation.variant,
        "metadata": dict(evaluation.metadata),
    }
    return body if evaluation.value is None else body | {"value": evaluation.value}


def etag_of(body: bytes) -> str:
    """Return the ETag of a bulk answer."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
