"""What a report shows, read from the published file: every query of the reports stands here.

The published file is only replaced after every check passed, and reading it locks nobody out of the
warehouse. Nothing is judged here: decisions, intervals and reasons are those of the marts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import orjson

from orchestration.lib.errors import EmptyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime
    from pathlib import Path

Made = TypeVar("Made")

# every table that the queries below read, as the page names its sources
TABLES = (
    "dim_experiments",
    "rpt_experiment_decisions",
    "rpt_experiment_effects_by_age",
    "rpt_experiment_health",
    "rpt_experiment_heterogeneity",
    "rpt_experiment_interactions",
    "rpt_experiment_plans",
    "rpt_experiment_results",
    "rpt_experiment_results_daily",
    "rpt_experiment_shrinkage",
)
ROLE_ORDER = (
    "case {} when 'success' then 0 when 'guardrail' then 1 when 'deterioration' then 2 else 3 end"
)


@dataclass(frozen=True, slots=True)
class Metric:
    """What the catalog says of a metric.

    unit is share, ms, usd, or another text that follows the number; None = a plain number.
    """

    name: str
    label: str
    description: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is declared of an experiment; times are naive UTC, None where nothing is declared."""

    name: str
    hypothesis: str | None
    owner: str | None
    unit: str
    control: str
    started_at: datetime | None
    ended_at: datetime | None
    state: str
    inference: str
    alpha: float
    layer: str | None
    holdout_share: float | None
    trigger_event: str | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on a treatment; lists of metric names as the mart writes them."""

    treatment: str
    decision: str
    reason: str
    winning: frozenset[str]
    failed_guardrails: frozenset[str]
    deteriorated: frozenset[str]
    unjudged: frozenset[str]
    is_complete: bool
    power: float
    deterioration_alpha: float | None
    type_i_error_bound: float
    type_ii_error_bound: float
    control_units: int
    treatment_units: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric of one treatment against control, in one segment value, by one adjustment.

    lower and upper are the ends of the interval that is shown: the deciding one, or before a fixed
    test is due the one that holds whenever it is looked at. None where it is unbounded or missing.
    interval_kind says which one it is; adjustment_chain what was done to the estimate and its test,
    as the mart writes it, None without data.
    """

    metric: str
    role: str
    treatment: str
    segment_name: str
    segment_value: str
    adjustment: str
    adjustment_chain: str | None
    control_units: int
    treatment_units: int
    control_value: float | None
    treatment_value: float | None
    absolute_effect: float | None
    relative_effect: float | None
    lower: float | None
    upper: float | None
    interval_kind: str | None
    p_value: float | None
    family_size: int | None
    is_deciding: bool
    is_significant: bool | None
    variance_removed: float | None
    minimum_effect: float | None
    better: str
    probability_of_improvement: float | None
    immature_units: int
    out_of_time_units: int
    numerator_cap: float | None
    denominator_cap: float | None
    relative_reason: str | None
    interval_reason: str | None
    status: str


@dataclass(frozen=True, slots=True)
class Day:
    """The effect as it stood at the end of a day, with the interval that holds at any day."""

    metric: str
    treatment: str
    adjustment: str
    day: date
    relative_effect: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Age:
    """The absolute effect in one 24-hour period since exposure, in the metric's unit."""

    metric: str
    treatment: str
    days_since_exposure: int
    absolute_effect: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """One health check; the segment is `all` for the experiment as a whole."""

    name: str
    segment_name: str
    segment_value: str
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Whether the effect differs between the values of a segment."""

    metric: str
    treatment: str
    segment_name: str
    p_value: float | None
    is_heterogeneous: bool | None


@dataclass(frozen=True, slots=True)
class Interaction:
    """Whether another experiment changes the effect."""

    metric: str
    treatment: str
    other_experiment: str
    other_treatment: str
    effect: float | None
    p_value: float | None
    is_interaction: bool | None


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The effect drawn towards what experiments usually find."""

    metric: str
    treatment: str
    adjustment: str
    relative_effect: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many units a metric needs, and what it can detect with those that there are."""

    metric: str
    treatment: str
    adjustment: str
    required_units: int | None
    required_days: int | None
    evaluated_units: int | None
    detectable_effect: float | None
    minimum_effect: float | None
    status: str


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Units of the experiment that do not count, by reason.

    late_events counts events of the others that came late, and count all the same.
    """

    several_variants: int
    declared: int
    not_triggered: int
    late_events: int


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Everything that the page of one experiment shows."""

    experiment: Experiment
    decisions: Sequence[Decision]
    estimates: Sequence[Estimate]
    days: Sequence[Day]
    ages: Sequence[Age]
    checks: Sequence[Check]
    heterogeneity: Sequence[Heterogeneity]
    interactions: Sequence[Interaction]
    shrunk: Sequence[Shrunk]
    plans: Sequence[Plan]
    exclusions: Exclusions | None


def read_scorecards(published: Path) -> list[Scorecard]:
    """Read every experiment of the published file, in the order of their names.

    Raises:
        EmptyError: nothing is published, or by a version that did not publish experiments.
    """
    if not published.is_file():
        raise EmptyError(
            "nothing is published yet",
            where=str(published),
            next_step="run `attune publish` first, or `attune run` for everything",
        )
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            experiments = _rows(connection, Experiment, _EXPERIMENTS)
            return [_scorecard(connection, experiment) for experiment in experiments]
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise EmptyError(
                f"the published file lacks what reports show: {error}",
                where=str(published),
                next_step="run `attune build`, then `attune publish`",
            ) from error


def read_metrics(manifest_path: Path) -> dict[str, Metric]:
    """Return the metrics of dbt's manifest by name; `config.meta.unit` is their unit.

    Raises:
        EmptyError: there is no manifest: the project was never built here.
    """
    if not manifest_path.is_file():
        raise EmptyError(
            "there is no dbt manifest, which names the metrics",
            where=str(manifest_path),
            next_step="run `attune build` first",
        )
    manifest = orjson.loads(manifest_path.read_bytes())
    found = {}
    for metric in manifest["metrics"].values():
        meta = metric["config"].get("meta") or {}
        kind = (meta.get("experiment") or {}).get("kind")
        is_share = kind in ("proportion", "retention", "funnel")
        found[metric["name"]] = Metric(
            metric["name"],
            metric["label"] or metric["name"],
            metric["description"] or "",
            str(meta["unit"]) if "unit" in meta else ("share" if is_share else None),
        )
    return found


def _scorecard(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> Scorecard:
    def rows(make: Callable[..., Made], sql: str) -> list[Made]:
        return _rows(connection, make, sql, [experiment.name])

    exclusions = rows(Exclusions, _EXCLUSIONS)
    return Scorecard(
        experiment=experiment,
        decisions=rows(_decision, _DECISIONS),
        estimates=rows(Estimate, _ESTIMATES),
        days=rows(Day, _DAYS),
        ages=rows(Age, _AGES),
        checks=rows(Check, _CHECKS),
        heterogeneity=rows(Heterogeneity, _HETEROGENEITY),
        interactions=rows(Interaction, _INTERACTIONS),
        shrunk=rows(Shrunk, _SHRUNK),
        plans=rows(Plan, _PLANS),
        exclusions=exclusions[0] if exclusions else None,
    )


def _rows(
    connection: duckdb.DuckDBPyConnection,
    make: Callable[..., Made],
    sql: str,
    parameters: Sequence[str] = (),
) -> list[Made]:
    return [make(*row) for row in connection.execute(sql, list(parameters)).fetchall()]


def _decision(treatment: str, decision: str, reason: str, *values: Any) -> Decision:
    winning, failed, deteriorated, missing, *others = values
    return Decision(
        treatment,
        decision,
        reason,
        _names(winning),
        _names(failed),
        _names(deteriorated),
        # each with its reason in brackets
        frozenset(each.partition(" ")[0] for each in _names(missing)),
        *others,
    )


def _names(listed: str | None) -> frozenset[str]:
    """Read a list as sorted_list_text writes it."""
    return frozenset(listed.split(", ")) if listed else frozenset()


_EXPERIMENTS = """
    select
        experiment_name, hypothesis, owner, unit, control_variant, started_at, ended_at, state,
        inference, alpha, layer, holdout_share, trigger_event, as_of
    from marts.dim_experiments
    order by experiment_name
"""

_DECISIONS = """
    select
        treatment_variant, decision, reason, winning_metrics, failed_guardrails,
        deteriorated_metrics, missing_metrics, is_complete, power, deterioration_alpha,
        type_i_error_bound, type_ii_error_bound, control_units, treatment_units
    from marts.rpt_experiment_decisions
    where experiment_name = ?
    order by treatment_variant
"""

_ESTIMATES = f"""
    select
        results.metric_name,
        results.metric_role,
        results.treatment_variant,
        results.segment_name,
        results.segment_value,
        results.adjustment,
        results.adjustment_chain,
        results.control_units,
        results.treatment_units,
        results.control_value,
        results.treatment_value,
        results.absolute_effect,
        results.relative_effect,
        if(decisions.is_early, results.sequential_ci_lower, results.deciding_ci_lower),
        if(decisions.is_early, results.sequential_ci_upper, results.deciding_ci_upper),
        if(decisions.is_early, 'always_valid', results.deciding_interval),
        results.p_value_adjusted,
        results.family_size,
        results.is_deciding,
        results.is_significant,
        results.variance_removed,
        results.minimum_effect,
        coalesce(results.better, 'up'),
        results.probability_of_improvement,
        coalesce(results.immature_units, 0),
        coalesce(results.out_of_time_units, 0),
        results.numerator_cap,
        results.denominator_cap,
        results.relative_effect_missing_reason,
        if(
            decisions.is_early,
            results.sequential_missing_reason,
            results.deciding_ci_missing_reason
        ),
        results.status
    from marts.rpt_experiment_results as results
    inner join (
        select *, inference = 'fixed' and not is_complete as is_early
        from marts.rpt_experiment_decisions
    ) as decisions
        using (experiment_name, treatment_variant)
    where results.experiment_name = ?
    order by
        results.treatment_variant,
        {ROLE_ORDER.format("results.metric_role")},
        results.metric_name,
        results.segment_name,
        results.segment_value,
        results.adjustment
"""

_DAYS = f"""
    select
        metric_name, treatment_variant, adjustment, as_of_date, relative_effect,
        sequential_ci_lower, sequential_ci_upper
    from marts.rpt_experiment_results_daily
    where experiment_name = ? and segment_name = 'all' and status = 'ok'
    order by treatment_variant, {ROLE_ORDER.format("metric_role")}, metric_name, adjustment, as_of_date
"""

_AGES = """
    select
        metric_name, treatment_variant, days_since_exposure, absolute_effect, absolute_ci_lower,
        absolute_ci_upper
    from marts.rpt_experiment_effects_by_age
    where experiment_name = ? and status = 'ok'
    order by treatment_variant, metric_name, days_since_exposure
"""

_CHECKS = """
    select check_name, segment_name, segment_value, status, detail
    from marts.rpt_experiment_health
    where experiment_name = ?
    order by
        case status when 'fail' then 0 when 'pass' then 1 else 2 end,
        check_name, segment_name, segment_value
"""

_HETEROGENEITY = """
    select metric_name, treatment_variant, segment_name, p_value_adjusted, is_heterogeneous
    from marts.rpt_experiment_heterogeneity
    where experiment_name = ?
    order by treatment_variant, metric_name, segment_name
"""

_INTERACTIONS = """
    select
        metric_name, treatment_variant, other_experiment_name, other_treatment_variant,
        interaction_effect, p_value_adjusted, is_interaction
    from marts.rpt_experiment_interactions
    where experiment_name = ?
    order by
        p_value_adjusted nulls last, other_experiment_name, metric_name, treatment_variant,
        other_treatment_variant
"""

_SHRUNK = """
    select metric_name, treatment_variant, adjustment, shrunk_relative_effect
    from marts.rpt_experiment_shrinkage
    where experiment_name = ?
    order by metric_name, treatment_variant, adjustment
"""

_PLANS = f"""
    select
        metric_name, treatment_variant, adjustment, required_units, required_days,
        evaluated_units, relative_detectable_effect, minimum_effect, status
    from marts.rpt_experiment_plans
    where experiment_name = ?
    order by treatment_variant, {ROLE_ORDER.format("metric_role")}, metric_name, adjustment
"""

_EXCLUSIONS = """
    select
        max(several_variants_units), max(excluded_units), max(not_triggered_units),
        max(late_events)
    from marts.rpt_experiment_results
    where experiment_name = ?
    having count(several_variants_units) > 0
"""
