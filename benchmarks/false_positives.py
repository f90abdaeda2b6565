"""How often the scorecard is wrong where the truth is known, through the project's own models.

Run `make simulate-aa`, or `python -m benchmarks.false_positives --help`. Experiments without an
effect say how often one is seen all the same: in one test at the end, and in a look every day.
Experiments with a planted effect say how often the relative interval contains it. Splits as declared
say how often the sample-ratio tests fail. Simulated are units and their events; everything from
int_experiment_windows to rpt_experiment_results(_daily), and the sample-ratio tests, is the
project's SQL. Exits with 1 where a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from scipy import stats

from orchestration.lib.progress import Stages
from tests.dbt.experiments.model_sql import fill, model_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ALPHA = 0.05
# large enough to tell Fieller's interval from the absolute one over control's mean
LIFT = 0.5
SAMPLE_RATIO_ALPHA = 0.001
# of the binomial interval that a rate is held to: chance breaks one of 17 claims in 1 run of 60
CONFIDENCE = 0.999
# so rare a failure shows only in many splits, which are cheap: they have no units
SPLITS_PER_EXPERIMENT = 10
EXPERIMENTS_AT_ONCE = 100
STARTED_AT = datetime(2026, 1, 1)  # noqa: DTZ001 - UTC without zone, as in the warehouse

METRICS: tuple[dict[str, Any], ...] = (
    {"metric_name": "spend", "kind": "mean", "covariate_days": 28},
    {"metric_name": "conversion", "kind": "proportion"},
    {"metric_name": "click_rate", "kind": "ratio"},
)
ESTIMATES = {
    ("spend", "none"): "mean, skewed",
    ("spend", "cuped"): "mean, CUPED",
    ("spend", "lin"): "mean, Lin",
    ("conversion", "none"): "proportion",
    ("click_rate", "none"): "ratio",
}
TO_MOMENTS = (
    "int_experiment_windows",
    "int_experiment_unit_days",
    "int_experiment_caps",
    "int_experiment_covariates",
    "int_experiment_arms",
    "int_experiment_unit_values",
    "int_experiment_moments",
    "int_experiment_moments_daily",
)
TO_RESULTS = (
    "int_experiment_tuning",
    "int_experiment_comparisons",
    "int_experiment_stratified",
    "int_experiment_estimates",
    "int_experiment_tests",
    "int_experiment_adjusted",
    "int_experiment_left_out_daily",
    "int_experiment_states",
    "int_experiment_programme",
    "rpt_experiment_looks",
    "rpt_experiment_results",
    "rpt_experiment_results_daily",
)
SAMPLE_RATIO = ("int_experiment_sample_ratios", "int_experiment_checks_sample_ratio")
# what the models read of tables that have no rows here
EMPTY = {
    "int_experiment_quantiles": "experiment_name varchar, metric_name varchar, kind varchar, "
    "variant varchar, segment_name varchar, segment_value varchar, as_of_date date, "
    "is_final boolean, units bigint, events bigint, value double, value_variance double, "
    "has_tied_values boolean",
    "int_experiment_funnels": "experiment_name varchar, metric_name varchar, unit_id varchar, "
    "completed_at timestamp",
    "int_experiment_active_days": "unit varchar, unit_id varchar, entry_event varchar, "
    "event_date date",
    "int_experiment_arrivals": "experiment_name varchar, event_date date, late_events bigint",
    "rpt_experiment_health": "experiment_name varchar, status varchar",
    "stg_declarations__sequential_bounds": "bounds varchar, alpha double, look integer, "
    "information_fraction double, critical_value double",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is simulated: experiments, units of each in both arms together, days, the seed."""

    experiments: int = 2000
    units: int = 2000
    looks: int = 28
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of so many experiments showed something, and the share that was promised.

    is_ceiling: less is as good. Without a promise (null) the rate is shown for comparison.
    """

    claim: str
    subject: str
    count: int
    total: int
    promised: float | None = None
    is_ceiling: bool = False

    @property
    def share(self) -> float:
        """Of the experiments, 0 to 1."""
        return self.count / self.total

    @property
    def bounds(self) -> tuple[float, float]:
        """Shares between which chance leaves a rate that is as promised; everything without one."""
        if self.promised is None:
            return 0.0, 1.0
        if self.is_ceiling:
            return 0.0, float(stats.binom.ppf(CONFIDENCE, self.total, self.promised)) / self.total
        lower, upper = stats.binom.interval(CONFIDENCE, self.total, self.promised)
        return float(lower) / self.total, float(upper) / self.total

    @property
    def holds(self) -> bool:
        """Is the rate within its bounds?"""
        lower, upper = self.bounds
        return lower <= self.share <= upper


class Models:
    """The project's models over tables of the same names, each rendered once."""

    def __init__(self) -> None:
        self._rendered: dict[str, str] = {}

    def build(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> None:
        """Build models, in this order, as tables."""
        for name in names:
            if name not in self._rendered:
                self._rendered[name] = model_sql(name)
            connection.execute(f"create or replace table {name} as {self._rendered[name]}")


def declare(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], units: int, looks: int
) -> None:
    """Declare experiments of two equal arms that end as they are read, each with every metric."""
    ended_at = STARTED_AT + timedelta(days=looks)
    fill(
        connection,
        "stg_declarations__experiments",
        {
            "experiment_name": "varchar",
            "unit": "varchar",
            "control_variant": "varchar",
            "inference": "varchar",
            "bounds": "varchar",
            "alpha": "double",
            "started_at": "timestamp",
            "ended_at": "timestamp",
            "planned_units": "bigint",
            "stratify_by": "varchar",
            "trigger_event": "varchar",
        },
        [
            {
                "experiment_name": name,
                "unit": "user",
                "control_variant": "control",
                "inference": "sequential",
                "alpha": ALPHA,
                "started_at": STARTED_AT,
                "ended_at": ended_at,
                "planned_units": units,
            }
            for name in names
        ],
    )
    fill(
        connection,
        "int_metrics_declared",
        {
            "metric_name": "varchar",
            "kind": "varchar",
            "better": "varchar",
            "cap_quantile": "double",
            "quantile": "double",
            "delay_days": "integer",
            "window_days": "integer",
            "covariate_days": "integer",
        },
        [{"better": "up", "delay_days": 0} | metric for metric in METRICS],
    )
    fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": ended_at}])
    connection.execute("""
        create or replace table stg_declarations__experiment_variants as
        select experiment_name, variant, 1e0 as allocation
        from stg_declarations__experiments
        cross join (values ('control'), ('treatment')) as variants (variant)
    """)
    connection.execute("""
        create or replace table stg_declarations__experiment_metrics as
        select
            experiment_name, metric_name, 'success' as role, null::double as minimum_effect,
            null::double as prior_mean, null::double as prior_std_dev
        from stg_declarations__experiments
        cross join int_metrics_declared
    """)
    for name, columns in EMPTY.items():
        connection.execute(f"create or replace table {name} ({columns})")


def draw(
    connection: duckdb.DuckDBPyConnection,
    generator: np.random.Generator,
    names: Sequence[str],
    plan: Plan,
    lift: float,
) -> None:
    """Draw units and events of experiments; treatment does `lift` times better, exactly.

    Units enter at any time and are assigned by a fair coin. On about one day in ten one spends, by
    its own lognormal level and the day's, and clicks on some of what it is shown; 13% convert,
    three days later on average. One in five has no history.
    """
    count = len(names) * plan.units
    entered = generator.uniform(0, plan.looks, count)
    is_treatment = generator.random(count) < 0.5
    factor = np.where(is_treatment, 1 + lift, 1.0)
    level = generator.lognormal(0, 0.7, count)
    appeal = generator.uniform(0.05, 0.35, count)

    visitors = np.repeat(np.arange(count), generator.poisson(0.1 * (plan.looks - entered)))
    visits = entered[visitors] + generator.random(visitors.size) * (plan.looks - entered[visitors])
    amounts = (level * factor)[visitors] * generator.lognormal(0, 1, visitors.size)
    shown = 1 + generator.poisson(4, visitors.size)
    clicks = generator.binomial(shown, (appeal * factor)[visitors])

    converts = np.flatnonzero(generator.random(count) < 0.13 * factor)
    conversions = entered[converts] + generator.exponential(3, converts.size)

    remembered = np.flatnonzero(generator.random(count) < 0.8)
    before = entered[remembered] - generator.uniform(0.01, 27, remembered.size)
    history = level[remembered] * generator.lognormal(0, 1, remembered.size)

    numbers = np.arange(count)
    names_table = pa.table({"place": np.arange(len(names)), "experiment_name": list(names)})
    units_table = pa.table(
        {
            "unit": numbers,
            "place": numbers // plan.units,
            "entered": entered,
            "is_treatment": is_treatment,
        }
    )
    events_table = pa.concat_tables(
        pa.table(
            {
                "metric_name": pa.repeat(metric, who.size),
                "unit": who,
                "day": day,
                "numerator": numerator.astype(float),
                "denominator": denominator.astype(float),
            }
        )
        for metric, who, day, numerator, denominator in (
            ("spend", visitors, visits, amounts, np.zeros(visitors.size)),
            ("spend", remembered, before, history, np.zeros(remembered.size)),
            ("conversion", converts, conversions, np.ones(converts.size), np.zeros(converts.size)),
            ("click_rate", visitors, visits, clicks, shown),
        )
    )
    with_tables = {"names": names_table, "drawn_units": units_table, "drawn_events": events_table}
    for name, table in with_tables.items():
        connection.register(name, table)
    at = f"timestamp '{STARTED_AT}' + to_microseconds(({{day}} * 864e8)::bigint)"
    connection.execute(f"""
        create or replace table int_experiment_units as
        select
            experiment_name, unit::varchar as unit_id,
            case when is_treatment then 'treatment' else 'control' end as variant,
            {at.format(day="entered")} as first_exposed_at, first_exposed_at as analysed_from,
            'analysed' as role
        from drawn_units inner join names using (place)
    """)
    connection.execute(f"""
        create or replace table int_experiment_unit_events as
        select
            'user' as unit, unit::varchar as unit_id, metric_name,
            {at.format(day="day")} as occurred_at, numerator, denominator
        from drawn_events
    """)
    connection.execute("""
        create or replace table int_experiment_unit_segments as
        select experiment_name, unit_id, 'all' as segment_name, 'all' as segment_value
        from int_experiment_units
    """)
    for name in with_tables:
        connection.unregister(name)


def batches(count: int) -> Iterator[list[str]]:
    """Names of so many experiments, some at once."""
    for first in range(0, count, EXPERIMENTS_AT_ONCE):
        yield [f"aa_{number}" for number in range(first, min(first + EXPERIMENTS_AT_ONCE, count))]


# what never came to a verdict is no rejection and no covering interval
VERDICTS = f"""
    with daily as (
        select
            experiment_name, metric_name, adjustment,
            bool_or(coalesce(p_value <= {ALPHA}, false)) as is_rejected,
            bool_or(coalesce(sequential_p_value <= {ALPHA}, false)) as is_rejected_sequentially,
            bool_or(coalesce(is_deciding and p_value_adjusted <= {ALPHA}, false)) as is_won
        from rpt_experiment_results_daily
        group by experiment_name, metric_name, adjustment
    )
    select
        results.experiment_name, results.metric_name, results.adjustment,
        coalesce(results.p_value <= {ALPHA}, false) as is_rejected_at_end,
        coalesce(
            $lift between results.relative_ci_lower and results.relative_ci_upper, false
        ) as is_covered,
        daily.is_rejected as is_ever_rejected,
        daily.is_rejected_sequentially as is_ever_rejected_sequentially,
        daily.is_won as is_ever_won
    from rpt_experiment_results as results
    left join daily using (experiment_name, metric_name, adjustment)
"""


def judge(
    models: Models,
    generator: np.random.Generator,
    plan: Plan,
    stages: Stages,
    lift: float = 0.0,
) -> pa.Table:
    """Verdicts, one row per experiment, metric and adjustment; daily ones where nothing is planted."""
    name = f"relative effect of {lift:.0%}" if lift else "no effect"
    verdicts = []
    done = 0
    with stages.stage(name, "experiments") as update:
        for names in batches(plan.experiments):
            with duckdb.connect() as connection:
                declare(connection, names, plan.units, plan.looks)
                draw(connection, generator, names, plan, lift)
                models.build(connection, TO_MOMENTS)
                if lift:
                    connection.execute("truncate int_experiment_moments_daily")
                models.build(connection, TO_RESULTS)
                verdicts.append(connection.execute(VERDICTS, {"lift": lift}).to_arrow_table())
            done += len(names)
            update(done, plan.experiments, "")
    return pa.concat_tables(verdicts)


def split(
    models: Models, generator: np.random.Generator, plan: Plan, share: float = 0.5
) -> pa.Table:
    """Verdicts of the sample-ratio tests, one row per split and check; declared are equal arms."""
    count = plan.experiments * SPLITS_PER_EXPERIMENT
    entered = generator.multinomial(plan.units, np.full(plan.looks, 1 / plan.looks), count)
    treated = generator.binomial(entered, share)
    arms = {"control": entered - treated, "treatment": treated}
    counts = pa.concat_tables(
        pa.table(
            {
                "place": np.repeat(np.arange(count), plan.looks),
                "day": np.tile(np.arange(plan.looks), count),
                "variant": pa.repeat(variant, count * plan.looks),
                "units": units.cumsum(axis=1).ravel(),
            }
        )
        for variant, units in arms.items()
    )
    with duckdb.connect() as connection:
        declare(connection, [f"split_{place}" for place in range(count)], plan.units, plan.looks)
        connection.register("counts", counts)
        connection.execute(f"""
            create table int_experiment_arm_counts as
            select
                'split_' || place as experiment_name, 'all' as segment_name,
                'all' as segment_value, date '{STARTED_AT:%Y-%m-%d}' + day::integer as as_of_date,
                variant, 1e0 as allocation, units
            from counts
        """)
        models.build(connection, SAMPLE_RATIO)
        return connection.execute(
            "select check_name, status = 'fail' as is_failed "
            "from int_experiment_checks_sample_ratio where status != 'not_applicable'"
        ).to_arrow_table()


def queried(verdicts: pa.Table, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the table of verdicts."""
    with duckdb.connect() as connection:
        connection.register("verdicts", verdicts)
        return connection.execute(sql).fetchall()


def rates_of(
    verdicts: pa.Table,
    column: str,
    claim: str,
    promised: float | None = None,
    *,
    is_ceiling: bool = False,
) -> list[Rate]:
    """How often a verdict was given, for each kind of estimate that can have it."""
    found = queried(
        verdicts,
        f"select metric_name, adjustment, count(*) filter ({column}), count({column}) "
        "from verdicts group by metric_name, adjustment",
    )
    counts = {(metric, adjustment): (count, total) for metric, adjustment, count, total in found}
    rates = []
    for estimate, subject in ESTIMATES.items():
        count, total = counts.get(estimate, (0, 0))
        if total:
            rates.append(Rate(claim, subject, count, total, promised, is_ceiling))
    return rates


def ever_won(verdicts: pa.Table, plan: Plan) -> Rate:
    """Experiments in which any metric was, on any day, significant after Holm's correction.

    By the estimate that decides: CUPED where it could be computed.
    """
    ((count,),) = queried(
        verdicts,
        "select count(distinct experiment_name) from verdicts where is_ever_won",
    )
    return Rate(
        f"always-valid test, significant on any of {plan.looks} days",
        f"any of {len(METRICS)} metrics, Holm",
        count,
        plan.experiments,
        ALPHA,
        is_ceiling=True,
    )


def false_positive_rates(verdicts: pa.Table, plan: Plan) -> list[Rate]:
    """What experiments without an effect show of the tests, at the end and read daily."""
    return [
        *rates_of(verdicts, "is_rejected_at_end", "Welch's test, significant at the end", ALPHA),
        *rates_of(
            verdicts,
            "is_ever_rejected_sequentially",
            f"always-valid test, significant on any of {plan.looks} days",
            ALPHA,
            is_ceiling=True,
        ),
        ever_won(verdicts, plan),
        *rates_of(
            verdicts,
            "is_ever_rejected",
            f"for comparison: Welch's test, significant on any of {plan.looks} days",
        ),
    ]


def coverage_rates(verdicts: pa.Table) -> list[Rate]:
    """How often the relative interval contains the planted effect."""
    return rates_of(verdicts, "is_covered", f"Fieller's interval contains {LIFT:+.0%}", 1 - ALPHA)


def sample_ratio_rates(verdicts: pa.Table, plan: Plan) -> list[Rate]:
    """How often the sample-ratio checks fail."""
    found = queried(
        verdicts,
        "select check_name, count(*) filter (is_failed), count(*) from verdicts group by check_name",
    )
    counts = {check: (count, total) for check, count, total in found}
    at_end, at_end_total = counts["sample_ratio"]
    ever, ever_total = counts["sample_ratio_sequential"]
    return [
        Rate(
            "sample-ratio test fails at the end",
            "arms as declared",
            at_end,
            at_end_total,
            SAMPLE_RATIO_ALPHA,
        ),
        Rate(
            f"sequential sample-ratio test fails on any of {plan.looks} days",
            "arms as declared",
            ever,
            ever_total,
            SAMPLE_RATIO_ALPHA,
            is_ceiling=True,
        ),
    ]


def simulate(plan: Plan, stages: Stages) -> list[Rate]:
    """Every rate of a plan: of the same draws each time, summed in the order that threads choose."""
    models = Models()
    without, planted, splits = np.random.default_rng(plan.seed).spawn(3)
    return [
        *false_positive_rates(judge(models, without, plan, stages), plan),
        *coverage_rates(judge(models, planted, plan, stages, LIFT)),
        *sample_ratio_rates(split(models, splits, plan), plan),
    ]


def table_of(rates: Sequence[Rate]) -> Table:
    """The rates beside what was promised and the bounds of chance."""
    table = Table("claim", "of")
    for heading in ("found", "share", "promised", f"bounds ({CONFIDENCE:.1%})", "holds"):
        table.add_column(heading, justify="right")
    claim = ""
    for rate in rates:
        lower, upper = rate.bounds
        digits = 2 if rate.promised == SAMPLE_RATIO_ALPHA else 1
        if rate.claim != claim:
            table.add_section()
        table.add_row(
            rate.claim if rate.claim != claim else "",
            rate.subject,
            f"{rate.count:,} of {rate.total:,}",
            f"{rate.share:.{digits}%}",
            "" if rate.promised is None else f"{'≤ ' * rate.is_ceiling}{rate.promised:.{digits}%}",
            "" if rate.promised is None else f"{lower:.{digits}%} to {upper:.{digits}%}",
            "" if rate.promised is None else "yes" if rate.holds else "NO",
        )
        claim = rate.claim
    return table


def at_least(least: int) -> Callable[[str], int]:
    """An argument's type: a whole number that is not smaller."""

    def whole_number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return whole_number


def main() -> None:
    """Simulate as the arguments say, print every rate, and exit with 1 where a claim does not hold."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.false_positives",
        description="How often the scorecard is wrong where the truth is known.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, (least, meaning) in {
        "experiments": (1, "without an effect, and as many with one"),
        "units": (100, "of each experiment, both arms together"),
        "looks": (1, "days that an experiment runs, and is read"),
        "seed": (0, "of every random number"),
    }.items():
        parser.add_argument(
            f"--{name}",
            type=at_least(least),
            default=getattr(default, name),
            help=f"{meaning}; at least {least}",
        )
    plan = Plan(**vars(parser.parse_args()))
    stages = Stages()
    rates = simulate(plan, stages)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table_of(rates))
    seconds = sum(stages.seconds.values())
    console.print(
        f"{plan.experiments:,} experiments of {plan.units:,} units in two arms, alpha {ALPHA}, "
        f"seed {plan.seed}: {seconds:.0f} s",
        highlight=False,
    )
    sys.exit(0 if all(rate.holds for rate in rates) else 1)


if __name__ == "__main__":
    main()
