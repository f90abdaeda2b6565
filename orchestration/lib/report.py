"""What a build found, in the words of the person who asked: read from the warehouse, then judged.

Reading and judging are apart: what a verdict is can be tested without a warehouse.
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

Verdict = Literal["invalid", "harmful", "better", "no clear difference", "no data"]
Direction = Literal["better", "worse", "no clear difference", "unknown"]


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
    """One metric of one treatment against control, over all units.

    effect, lower and upper are absolute, in the metric's own unit; relative_effect is a share of
    control; the interval covers 1 - alpha. status is ok, or the reason why there are no numbers.
    better is up or down.
    """

    experiment_name: str
    metric_name: str
    role: str
    treatment: str
    better: str
    units: int
    control_value: float | None
    treatment_value: float | None
    effect: float | None
    lower: float | None
    upper: float | None
    relative_effect: float | None
    alpha: float
    status: str

    @property
    def direction(self) -> Direction:
        """What the interval says: it lies on one side of zero, or it does not."""
        if self.status != "ok" or self.lower is None or self.upper is None:
            return "unknown"
        if self.lower <= 0 <= self.upper:
            return "no clear difference"
        return "better" if (self.lower > 0) == (self.better != "down") else "worse"


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A health check that an experiment did not pass."""

    experiment_name: str
    check_name: str
    detail: str


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """One experiment: its verdict, why, and its metrics."""

    experiment_name: str
    verdict: Verdict
    reason: str
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


def judge(
    experiment_name: str, metrics: Sequence[MetricResult], failed: Sequence[FailedCheck]
) -> ExperimentReport:
    """Say what an experiment showed.

    A failed health check comes first, because it makes every number meaningless; then harm; then
    success. Exploratory metrics decide nothing.
    """

    def report(verdict: Verdict, reason: str) -> ExperimentReport:
        return ExperimentReport(experiment_name, verdict, reason, metrics)

    if failed:
        return report("invalid", " ".join(check.detail for check in failed))
    deciding = [metric for metric in metrics if metric.role != "exploratory"]
    known = [metric for metric in deciding if metric.direction != "unknown"]
    if not known:
        reasons = sorted({metric.status for metric in deciding}) or ["no metrics are declared"]
        return report("no data", f"no effect can be computed: {', '.join(reasons)}")
    worse = [metric for metric in known if metric.direction == "worse"]
    if worse:
        return report("harmful", f"worse on {_names(worse)}")
    better = [m for m in known if m.direction == "better" and m.role == "success"]
    if better:
        return report("better", f"better on {_names(better)}, and worse on nothing it may not harm")
    success = [metric for metric in known if metric.role == "success"]
    return report(
        "no clear difference", f"the interval of {_names(success or known)} includes zero"
    )


def _names(metrics: Sequence[MetricResult]) -> str:
    several = len({metric.treatment for metric in metrics}) > 1
    return ", ".join(
        f"{metric.metric_name} ({metric.treatment})" if several else metric.metric_name
        for metric in metrics
    )


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
                experiment_name, metric_name, metric_role, treatment_variant,
                coalesce(better, 'up'), control_units + treatment_units,
                control_value, treatment_value,
                absolute_effect, absolute_ci_lower, absolute_ci_upper, relative_effect, alpha, status
            from marts.rpt_experiment_results
            where segment_name = 'all' and adjustment = 'none'
            order by
                experiment_name,
                treatment_variant,
                case metric_role
                    when 'success' then 0 when 'guardrail' then 1 when 'deterioration' then 2
                    else 3
                end,
                metric_name
            """
        ).fetchall()
    ]
    failed = [
        FailedCheck(*row)
        for row in connection.execute(
            """
            select experiment_name, check_name, detail
            from marts.rpt_experiment_health
            where status = 'fail' and segment_name = 'all'
            order by experiment_name, check_name
            """
        ).fetchall()
    ]
    names = dict.fromkeys(metric.experiment_name for metric in metrics)
    return [
        judge(
            name,
            [metric for metric in metrics if metric.experiment_name == name],
            [check for check in failed if check.experiment_name == name],
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
            from marts.dim_user_preferences
            where user_id = ?
            order by dimension, context
            """,
            [user_id],
        ).fetchall()
    ]
