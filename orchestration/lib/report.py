"""What a build found, in the words of the person who asked: read from the warehouse.

What was decided and why stands in the marts; nothing is judged here.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from orchestration.lib.errors import EmptyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Direction = Literal[
    "better", "worse", "no clear difference", "unbounded", "not judged", "not tested yet", "unknown"
]


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """The telemetry ledger over all files."""

    files: int
    records_in: int
    accepted: int
    duplicate: int
    rejected: int
    suppressed: int

    @property
    def is_balanced(self) -> bool:
        """Nothing is lost: everything that came in stands somewhere."""
        return self.records_in == self.accepted + self.duplicate + self.rejected + self.suppressed


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric of one treatment against control, over all units, by the estimate that decides.

    relative_effect is a share of control, as are lower and upper, the ends of its interval that
    covers 1 - alpha: interval_kind is fixed_horizon, always_valid or repeated. They are None where
    control is 0 or the interval has no end. is_tested is false for a fixed test before its time.
    verdict is better or worse where the marts say so: of a metric that decides the decision, of others
    the test after correction; not judged where a health check fails. status is ok, or the reason why there are no numbers. better is up or
    down.
    """

    experiment_name: str
    metric_name: str
    role: str
    treatment: str
    better: str
    adjustment: str
    interval_kind: str
    units: int
    relative_effect: float | None
    lower: float | None
    upper: float | None
    alpha: float
    is_tested: bool
    verdict: Literal["better", "worse", "not judged"] | None
    status: str

    @property
    def direction(self) -> Direction:
        """The verdict in words, or why there is none."""
        if self.status != "ok":
            return "unknown"
        if not self.is_tested:
            return "not tested yet"
        if self.verdict is not None:
            return self.verdict
        if self.lower is None or self.upper is None:
            return "unbounded"
        return "no clear difference"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on one treatment: ship, do_not_ship, keep_running or invalid, and why."""

    experiment_name: str
    treatment: str
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """One experiment: what was decided on each treatment, and its metrics."""

    experiment_name: str
    decisions: Sequence[Decision]
    metrics: Sequence[MetricResult]


@dataclass(frozen=True, slots=True)
class Preference:
    """What is believed of a user in one dimension and context."""

    dimension: str
    context: str
    value: str
    kind: str
    score: float | None
    score_lower: float | None
    score_upper: float | None
    evidence_count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that `attune run` prints at its end."""

    ledger: LedgerTotals
    experiments: Sequence[ExperimentReport]
    user_id: str | None
    preferences: Sequence[Preference]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for `--json`."""
        return asdict(self)


def read_summary(warehouse: Path) -> Summary:
    """Read the summary of a built warehouse.

    Raises:
        EmptyError: there is no warehouse, or it was never built.
    """
    with open_warehouse(warehouse) as connection:
        ledger = read_ledger_totals(connection)
        experiments = _read_experiments(connection)
        user_id = _telling_user(connection)
        preferences = [] if user_id is None else _read_preferences(connection, user_id)
    return Summary(ledger, experiments, user_id, preferences)


def open_warehouse(warehouse: Path) -> closing[duckdb.DuckDBPyConnection]:
    """Open the warehouse for reading.

    Raises:
        EmptyError: there is none, or it is held by another process.
    """
    if not warehouse.is_file():
        raise EmptyError(
            "there is no warehouse yet", where=str(warehouse), next_step="run `attune build` first"
        )
    try:
        connection = duckdb.connect(str(warehouse), read_only=True)
    except duckdb.IOException as error:
        raise EmptyError(
            "another process holds the warehouse",
            where=str(warehouse),
            next_step="wait for its build to end; readers can use the published file meanwhile",
        ) from error
    connection.execute("set TimeZone = 'UTC'")
    return closing(connection)


def read_ledger_totals(connection: duckdb.DuckDBPyConnection) -> LedgerTotals:
    """Add up the ledger over all files."""
    row = connection.execute(
        """
        select
            count(*),
            coalesce(sum(records_in), 0)::bigint,
            coalesce(sum(accepted), 0)::bigint,
            coalesce(sum(duplicate), 0)::bigint,
            coalesce(sum(rejected), 0)::bigint,
            coalesce(sum(suppressed), 0)::bigint
        from marts.rpt_telemetry_ledger
        """
    ).fetchall()[0]
    return LedgerTotals(*row)


def read_ledger(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the ledger, one dictionary per input file, in load order."""
    result = connection.execute(
        """
        select file_name, batch_id, records_in, accepted, duplicate, rejected, suppressed
        from marts.rpt_telemetry_ledger
        order by loaded_at, file_name, batch_id
        """
    )
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _read_experiments(connection: duckdb.DuckDBPyConnection) -> list[ExperimentReport]:
    metrics = [
        MetricResult(*row)
        for row in connection.execute(
            """
            select
                results.experiment_name,
                results.metric_name,
                results.metric_role,
                results.treatment_variant,
                coalesce(results.better, 'up'),
                results.adjustment,
                coalesce(results.deciding_interval, 'fixed_horizon'),
                results.control_units + results.treatment_units,
                results.relative_effect,
                results.deciding_ci_lower,
                results.deciding_ci_upper,
                results.alpha,
                results.inference != 'fixed' or decisions.is_complete,
                case
                    when decisions.decision = 'invalid' then 'not judged'
                    when results.metric_role = 'exploratory' then
                        case
                            when not coalesce(results.is_significant, false) then null
                            when (results.absolute_effect > 0) = (results.better = 'up') then 'better'
                            else 'worse'
                        end
                    when list_contains(decisions.deteriorated, results.metric_name) then 'worse'
                    when list_contains(decisions.winning, results.metric_name) then 'better'
                end,
                results.status
            from marts.rpt_experiment_results as results
            inner join (
                select
                    *,
                    string_split(deteriorated_metrics, ', ') as deteriorated,
                    string_split(winning_metrics, ', ') as winning
                from marts.rpt_experiment_decisions
            ) as decisions
                using (experiment_name, treatment_variant)
            where results.segment_name = 'all' and results.is_deciding
            order by
                results.experiment_name,
                treatment_variant,
                case metric_role
                    when 'success' then 0 when 'guardrail' then 1 when 'deterioration' then 2
                    else 3
                end,
                metric_name
            """
        ).fetchall()
    ]
    decisions = [
        Decision(*row)
        for row in connection.execute(
            """
            select experiment_name, treatment_variant, decision, reason
            from marts.rpt_experiment_decisions
            order by experiment_name, treatment_variant
            """
        ).fetchall()
    ]
    names = dict.fromkeys(decision.experiment_name for decision in decisions)
    return [
        ExperimentReport(
            name,
            [decision for decision in decisions if decision.experiment_name == name],
            [metric for metric in metrics if metric.experiment_name == name],
        )
        for name in names
    ]


def _telling_user(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the user who shows most kinds of preferences, then most evidence."""
    row = connection.execute(
        """
        select user_id
        from marts.dim_user_preferences
        group by user_id
        order by count(distinct kind) desc, sum(evidence_count) desc, user_id
        limit 1
        """
    ).fetchone()
    return None if row is None else str(row[0])


def _read_preferences(connection: duckdb.DuckDBPyConnection, user_id: str) -> list[Preference]:
    return [
        Preference(*row)
        for row in connection.execute(
            """
            select
                dimension, context, value, kind, score, score_lower, score_upper,
                evidence_count, reason
            from intermediate.int_preferences_served
            where user_id = ?
            order by dimension, context
            """,
            [user_id],
        ).fetchall()
    ]
