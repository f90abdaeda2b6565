"""OFREP and decisions: evaluate, record what was decided, answer as the protocol says."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from serving.api import events
from serving.api.catalog import POLICY_VIEW
from serving.api.controls import append_event
from serving.api.decide import (
    MISSING,
    UNIT_ATTRIBUTES,
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
from serving.api.errors import ApiError, unavailable
from serving.api.profiles import GONE, STALE
from serving.overlay import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from serving.api.cache import Cache
    from serving.api.catalog import DecisionPoint
    from serving.api.events import Trace
    from serving.api.metrics import Metrics
    from serving.api.profiles import Profiles
    from serving.api.settings import Ports

    # preferences, and whether they are defaults for want of anything newer
    Believed = Callable[[], Awaitable[tuple[list[dict[str, Any]], bool]]]

# written by the API itself, whatever the context says
RESERVED = ("feature_flag.", "decision.", "user.id", "enduser.", "log.record.uid")
ATTRIBUTE_CHARACTERS = 256
ATTRIBUTES = 64
AGES = ("as_of", "age_hours")
NOT_READY = "no cache was ever read, so nobody knows which flags there are: run `attune sync`"


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom something is evaluated.

    Attributes:
        raw_id: The raw id, which only the inbox sees.
        keys: The user's pseudonyms; the last one is stable.
        is_own: Whether the user asks, who may speak for no other unit.
    """

    raw_id: str
    keys: Sequence[str]
    is_own: bool

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

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer: what may work later says when to come back."""
        return {"retry-after": "1"} if self.status is HTTPStatus.SERVICE_UNAVAILABLE else {}


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
        if decision is None and not catalog.is_known:
            raise unavailable("not_ready", NOT_READY)
        if decision is None:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                "unknown_decision_point",
                f"decision points are {', '.join(sorted(catalog.decision_points)) or 'none yet'}",
            )
        evaluation = self._marked(evaluate_decision(decision))
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
            "freshness": self._cache.age_fields(POLICY_VIEW),
        }

    async def evaluate(self, key: str, request: Request) -> Evaluation:
        """Evaluate one flag, and record the exposure or decision.

        Raises:
            FlagError: there is no such flag, or the context lacks what it needs.
            ApiError: 503, the exposure cannot be recorded.
        """
        trace = request.trace if request.trace.trace_id else events.new_trace()
        evaluation = self._marked(
            await self._evaluation(key, request, trace.trace_id, self._believed(request))
        )
        if evaluation.is_exposure:
            await self._record(exposure_attributes(evaluation, request), request.trace)
        return evaluation

    async def evaluate_all(self, request: Request) -> tuple[list[Evaluation], list[dict[str, Any]]]:
        """Evaluate every flag, for a client that keeps the answers.

        Nothing is recorded: the client acts on some of them later, or on none. A decision that was
        never acted on would earn what other causes bring, and count as if its action had.

        Without a trace a decision stays as it is until its policy changes.

        Returns:
            The evaluations, and OFREP errors of the flags that have none.

        Raises:
            FlagError: nobody knows yet which flags there are.
        """
        catalog = self._cache.catalog
        if not catalog.is_known:
            raise _not_ready()
        evaluations: list[Evaluation] = []
        failures: list[dict[str, Any]] = []
        believed = self._believed(request)
        for key in sorted(
            {*catalog.experiments, *catalog.decision_points, *catalog.declared.dimensions}
        ):
            point = catalog.decision_points.get(key)
            occasion = request.trace.trace_id or str(point.generation if point else 0)
            try:
                evaluated = await self._evaluation(key, request, occasion, believed)
                evaluations.append(self._marked(evaluated))
            except FlagError as error:
                failures.append({"key": key, "errorCode": error.code, "errorDetails": error.detail})
        return evaluations, failures

    async def _evaluation(
        self, key: str, request: Request, occasion: str, believed: Believed
    ) -> Evaluation:
        catalog = self._cache.catalog
        if (experiment := catalog.experiments.get(key)) is not None:
            if request.subject.is_own and experiment.unit in UNIT_ATTRIBUTES:
                raise FlagError(
                    HTTPStatus.FORBIDDEN,
                    "GENERAL",
                    f"{key} is assigned by {experiment.unit}: only a service's token can say which",
                )
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
            preferences, is_degraded = await believed()
            return evaluate_preference(
                dimension, preferences, request.attributes, is_degraded=is_degraded
            )
        if not catalog.is_known:
            raise _not_ready()
        raise FlagError(HTTPStatus.NOT_FOUND, "FLAG_NOT_FOUND", "there is no such flag")

    def _marked(self, evaluation: Evaluation) -> Evaluation:
        """Say how old that is what the evaluation rests on; too old: STALE, whatever came out."""
        age = self._cache.age_fields(evaluation.view)
        said = {name: age[name] for name in AGES if age.get(name) is not None}
        return replace(
            evaluation,
            reason="STALE" if age["is_stale"] else evaluation.reason,
            metadata={**evaluation.metadata, "is_stale": age["is_stale"], **said},
        )

    def _believed(self, request: Request) -> Believed:
        """What is believed of the user, read when it is needed first and once for all flags."""
        found: list[tuple[list[dict[str, Any]], bool]] = []

        async def believed() -> tuple[list[dict[str, Any]], bool]:
            if not found:
                served = await self._profiles.read_together(request.subject.keys)
                preferences = orjson.loads(served.payload)["preferences"] or []
                found.append((preferences, served.default_reason in (STALE, GONE)))
            return found[0]

        return believed

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
    foreign = UNIT_ATTRIBUTES.values() if request.subject.is_own else ()
    said = (
        (name, value)
        for name, value in request.attributes.items()
        if not name.startswith(RESERVED)
        and name not in foreign
        and len(name) <= ATTRIBUTE_CHARACTERS
        and 0 < len(attribute_text(value)) <= ATTRIBUTE_CHARACTERS
    )
    return dict(islice(said, ATTRIBUTES)) | own


def flag_body(evaluation: Evaluation) -> dict[str, Any]:
    """Write an evaluation as OFREP has it; without a value the client's own default holds."""
    body = {
        "key": evaluation.key,
        "reason": evaluation.reason,
        "variant": evaluation.variant,
        "metadata": dict(evaluation.metadata),
    }
    return body if evaluation.value is None else body | {"value": evaluation.value}


def etag_of(flags: Sequence[Mapping[str, Any]]) -> str:
    """Return the ETag of a bulk answer: weak, for an answer that is only older is the same."""
    lasting = [
        {**flag, "metadata": {n: v for n, v in flag["metadata"].items() if n not in AGES}}
        if "metadata" in flag
        else flag
        for flag in flags
    ]
    return f'W/"{hashlib.sha256(orjson.dumps(lasting)).hexdigest()[:32]}"'


def _not_ready() -> FlagError:
    return FlagError(HTTPStatus.SERVICE_UNAVAILABLE, "PROVIDER_NOT_READY", NOT_READY)
