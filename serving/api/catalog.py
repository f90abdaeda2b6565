"""What is declared, as the cache holds it: dimensions, purposes, experiments, decision points."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from serving.buckets import WHOLE, Experiment, Slot, layer_slots
from serving.client import DIMENSIONS_VIEW, PROFILE_VIEW, PURPOSES_VIEW, view_rows
from serving.clock import naive_utc
from serving.errors import StoreError
from serving.overlay import Declared, default_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.store import Digest, Store, ViewMeta

EXPERIMENTS_VIEW = "hot_experiments"
DECISION_POINTS_VIEW = "hot_decision_points"
POLICY_VIEW = "hot_policy_arms"
DECLARED_VIEWS = (
    DIMENSIONS_VIEW,
    PURPOSES_VIEW,
    EXPERIMENTS_VIEW,
    DECISION_POINTS_VIEW,
    POLICY_VIEW,
)


@dataclass(frozen=True, slots=True)
class Bin:
    """A range of a number, named; None: without an end on that side."""

    name: str
    lower: float | None
    upper: float | None

    def holds(self, number: float) -> bool:
        return (self.lower is None or self.lower <= number) and (
            self.upper is None or number < self.upper
        )


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """How contexts are named, and with which probability each action is chosen in them.

    Attributes:
        name: Its name, which is the flag key.
        context_attributes: What the context is read from, in order.
        bins: Attribute -> its bins; none for an attribute that is taken as it is.
        policies: Context -> action -> probability, with one for every other context ('all').
        position: Which choice of several it is.
        generation: Of the policy; changes when its probabilities do.
    """

    name: str
    context_attributes: tuple[str, ...]
    bins: Mapping[str, tuple[Bin, ...]]
    policies: Mapping[str, Mapping[str, float]]
    position: int
    generation: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything of the cache that is not about a user; one state of it, never changed.

    Attributes:
        declared: Dimensions and purposes.
        experiments: By name.
        slots: Experiment -> its part of its layer.
        decision_points: By name.
        metas: View -> what the cache knows of it as a whole; the profiles' too. A view that was
            never synced is not there.
        rows: View -> payloads that all this was made of.
    """

    declared: Declared = field(default_factory=lambda: Declared({}, {}))
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    slots: Mapping[str, Slot] = field(default_factory=dict)
    decision_points: Mapping[str, DecisionPoint] = field(default_factory=dict)
    metas: Mapping[str, ViewMeta] = field(default_factory=dict)
    rows: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether it was ever read; else nobody can say which flags there are."""
        return bool(self.rows)

    def slot(self, experiment: Experiment) -> Slot:
        """Return the experiment's part of its layer."""
        return self.slots.get(experiment.name, WHOLE)


def read_catalog(store: Store, before: Catalog) -> Catalog:
    """Read the catalog, or only its metas where no view has changed since `before`.

    Args:
        store: The cache.
        before: The state read last; what it declares holds on while the cache says nothing of it.

    Raises:
        StoreError: the cache cannot be read, or holds something else than a catalog.
    """
    metas = {
        view: meta
        for view in (*DECLARED_VIEWS, PROFILE_VIEW)
        if (meta := store.meta(view)) is not None
    }
    contents = _contents(metas)
    # a cache that holds none of it, or nothing else than before
    if not contents or contents == _contents(before.metas):
        return replace(before, metas=metas)
    try:
        rows = {view: view_rows(store, view) for view in DECLARED_VIEWS}
        found = catalog_of(rows, metas)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{store.url} holds declarations that cannot be read ({type(error).__name__}: {error}): "
            "run `attune verify` to see whether warehouse or cache is wrong"
        ) from error
    if DIMENSIONS_VIEW not in metas:
        return replace(found, declared=before.declared)
    return found


def catalog_of(rows: Mapping[str, list[dict[str, Any]]], metas: Mapping[str, ViewMeta]) -> Catalog:
    """Make a catalog of the payloads of its views, and touch whatever a request will need of them.

    Raises:
        KeyError: a payload lacks a field.
        TypeError: a field is of another type.
        ValueError: a field cannot be read.
        AttributeError: a payload is no object.
    """
    declared = Declared(
        {row["dimension"]: row for row in rows[DIMENSIONS_VIEW]},
        {row["purpose"]: row for row in rows[PURPOSES_VIEW]},
    )
    default_profile(declared)
    for row in rows[DIMENSIONS_VIEW]:
        attribute_names(row["context_attributes"])
        _ = row["is_user_controllable"], [each["value"] for each in row["values"] or []]
    experiments = {each.name: each for each in map(_experiment, rows[EXPERIMENTS_VIEW])}
    generation = metas[POLICY_VIEW].generation if POLICY_VIEW in metas else 0
    return Catalog(
        declared=declared,
        experiments=experiments,
        slots=layer_slots(experiments.values()),
        decision_points=_decision_points(rows[DECISION_POINTS_VIEW], rows[POLICY_VIEW], generation),
        metas=metas,
        rows=rows,
    )


def attribute_names(text: str | None) -> tuple[str, ...]:
    """Split a declaration's list of attributes."""
    return tuple(name.strip() for name in (text or "").split(";") if name.strip())


def _contents(metas: Mapping[str, ViewMeta]) -> dict[str, tuple[int, Digest]]:
    """What the declarations' views hold; a cache that was filled anew may be at the same generation."""
    return {
        view: (meta.generation, meta.digest)
        for view, meta in metas.items()
        if view in DECLARED_VIEWS
    }


def _experiment(row: Mapping[str, Any]) -> Experiment:
    ended_at = row.get("ended_at")
    return Experiment(
        name=row["experiment_name"],
        unit=row["unit"],
        control_variant=row["control_variant"],
        allocation={
            each["variant"]: float(each["allocation"])
            for each in sorted(row["variants"] or [], key=lambda each: str(each["variant"]))
        },
        layer=row["layer"],
        holdout_share=float(row["holdout_share"] or 0.0),
        started_at=_moment(row["started_at"]),
        ended_at=None if ended_at is None else _moment(ended_at),
    )


def _moment(text: str) -> datetime:
    return naive_utc(datetime.fromisoformat(text))


def _decision_points(
    points: list[dict[str, Any]], policies: list[dict[str, Any]], generation: int
) -> dict[str, DecisionPoint]:
    found = {}
    for row in points:
        own = [each for each in policies if each["decision_point"] == row["decision_point"]]
        if not own:
            continue
        bins: dict[str, tuple[Bin, ...]] = {}
        for each in row["bins"] or []:
            named = Bin(each["bin"], each["lower"], each["upper"])
            bins[each["attribute"]] = (*bins.get(each["attribute"], ()), named)
        found[row["decision_point"]] = DecisionPoint(
            name=row["decision_point"],
            context_attributes=attribute_names(row["context_attributes"]),
            bins=bins,
            policies={
                each["context"]: {
                    action["action"]: float(action["probability"]) for action in each["actions"]
                }
                for each in own
            },
            position=own[0].get("position") or 0,
            generation=generation,
        )
    return found
