"""Which action, which variant, which value: pure functions of the catalog and the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.api.catalog import EXPERIMENTS_VIEW, POLICY_VIEW, attribute_names
from serving.buckets import assign, bucket, pick
from serving.client import PROFILE_VIEW
from serving.overlay import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from serving.api.catalog import Catalog, DecisionPoint
    from serving.buckets import Experiment

MISSING = "missing"
UNIT_ATTRIBUTES = {"session": "session.id", "organization": "organization.id"}


@dataclass(frozen=True, slots=True)
class Decision:
    """An action that was drawn, and with which probability.

    Attributes:
        point: The decision point.
        context: As `fct_decisions` names it.
        action: What to do.
        propensity: The probability with which it was drawn, above 0 to 1.
    """

    point: DecisionPoint
    context: str
    action: str
    propensity: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a flag evaluates to, in OpenFeature's words.

    Attributes:
        key: The flag's.
        value: What it is; None: there is none, the client's own default holds.
        variant: Its name; empty where nobody was assigned, so that no exposure is counted.
        reason: SPLIT, TARGETING_MATCH, DEFAULT, STALE or DISABLED.
        metadata: Flat, as OFREP wants it.
        propensity: Of a decision; None for others.
        is_exposure: Whether an exposure is to be recorded.
        view: The hot mart that it rests on.
    """

    key: str
    value: str | None
    variant: str
    reason: str
    metadata: Mapping[str, str | float | bool]
    propensity: float | None = None
    is_exposure: bool = False
    view: str = PROFILE_VIEW


class UnitMissingError(Exception):
    """The context does not say for whom; `attribute` names what it lacks."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        super().__init__(attribute)


def draw(point: DecisionPoint, context: str, unit: str, occasion: str) -> Decision | None:
    """Draw an action; the same occasion of the same unit draws the same one.

    Args:
        point: The decision point.
        context: One of its contexts; an unknown one is served as 'all' is.
        unit: The unit's stable pseudonym.
        occasion: A trace id, or whatever else sets this choice apart from others.

    Returns:
        None where no action has a probability above 0.
    """
    policy = point.policies.get(context) or point.policies.get(EVERYWHERE) or {}
    ordered = dict(sorted(policy.items()))
    action = pick(ordered, bucket(f"{point.name}:{occasion}", unit))
    if action is None:
        return None
    return Decision(point, context, action, policy[action] / sum(policy.values()))


def context_of(point: DecisionPoint, attributes: Mapping[str, Any]) -> str:
    """Name the context as the warehouse will: each attribute's bin or value, in order."""
    if not point.context_attributes:
        return EVERYWHERE
    return ",".join(_binned(point, name, attributes.get(name)) for name in point.context_attributes)


def context_attributes(point: DecisionPoint, context: str) -> dict[str, str]:
    """Say a context in attributes, so that the warehouse names it the same; the reverse of the above."""
    parts = context.split(",")
    if len(parts) != len(point.context_attributes):
        return {}
    named = zip(point.context_attributes, parts, strict=True)
    return {name: part for name, part in named if part != MISSING}


def _binned(point: DecisionPoint, name: str, value: Any) -> str:
    text = attribute_text(value)
    if not text:
        return MISSING
    try:
        number = float(text)
    except ValueError:
        return text
    return next((each.name for each in point.bins.get(name, ()) if each.holds(number)), text)


def attribute_text(value: Any) -> str:
    """Write a scalar as ingest writes it; anything else as nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def evaluate_experiment(
    catalog: Catalog,
    experiment: Experiment,
    attributes: Mapping[str, Any],
    *,
    unit: str,
    pseudonym: Callable[[str], str],
    now: datetime,
) -> Evaluation:
    """Assign a unit; outside its dates, its layer's slot, or held out, it gets the control unnamed.

    Args:
        catalog: For the experiment's slot.
        experiment: The experiment.
        attributes: The evaluation context.
        unit: The user's stable pseudonym.
        pseudonym: The stable pseudonym of any other raw unit id.
        now: Naive UTC.

    Raises:
        UnitMissingError: the context names no session or organization, and that is the unit.
    """
    name = UNIT_ATTRIBUTES.get(experiment.unit)
    if name is not None:
        raw = attribute_text(attributes.get(name))
        if not raw:
            raise UnitMissingError(name)
        unit = pseudonym(raw)
    metadata = {"source": "experiment", "unit": experiment.unit}
    is_running = experiment.runs_at(now)
    variant = assign(experiment, catalog.slot(experiment), unit) if is_running else None
    if variant is None:
        reason = "DEFAULT" if is_running else "DISABLED"
        return Evaluation(
            experiment.name,
            experiment.control_variant,
            "",
            reason,
            metadata,
            view=EXPERIMENTS_VIEW,
        )
    return Evaluation(
        experiment.name,
        variant,
        variant,
        "SPLIT",
        metadata,
        is_exposure=True,
        view=EXPERIMENTS_VIEW,
    )


def evaluate_decision(decision: Decision) -> Evaluation:
    """Say a decision as a flag."""
    return Evaluation(
        decision.point.name,
        decision.action,
        decision.action,
        "SPLIT",
        {
            "source": "decision_point",
            "propensity": decision.propensity,
            "context": decision.context,
            "position": decision.point.position,
        },
        propensity=decision.propensity,
        is_exposure=True,
        view=POLICY_VIEW,
    )


def evaluate_preference(
    dimension: Mapping[str, Any],
    preferences: Sequence[Mapping[str, Any]],
    attributes: Mapping[str, Any],
    *,
    is_degraded: bool,
) -> Evaluation:
    """Say a preference as a flag: that of the context if there is one, else that for all.

    Args:
        dimension: Payload of `hot_preference_dimensions`.
        preferences: Of the user's profile; may be empty.
        attributes: The evaluation context.
        is_degraded: The cache is gone or stale, and the preferences are defaults for that reason.
    """
    name = dimension["dimension"]
    own = {each["context"]: each for each in preferences if each["dimension"] == name}
    names = attribute_names(dimension["context_attributes"])
    texts = [f"{each}={attribute_text(attributes.get(each))}" for each in names]
    found = own.get(",".join(texts)) or own.get(EVERYWHERE)
    kind = "default" if found is None else found["kind"]
    value = dimension["default_value"] if found is None else found["value"]
    reason = "STALE" if is_degraded else "DEFAULT" if kind == "default" else "TARGETING_MATCH"
    metadata: dict[str, str | float | bool] = {"source": "preference", "kind": kind}
    if found is not None and found.get("score") is not None:
        metadata["score"] = found["score"]
    return Evaluation(name, value, value or "", reason, metadata)
