"""How fast scorecards are: moments beside tea-tasting's, one more day, and 30,000 rows of arms.

Run `make bench`, or `python -m benchmarks.experiments --help` for one part or other sizes. What is
compared, and what the numbers mean, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson

from benchmarks.false_positives import EMPTY, TO_MOMENTS, Models
from orchestration.lib.home import PROJECT_DIR
from tests.dbt.experiments.model_sql import model_sql

CORES = 2
PARTS = ("moments", "incremental", "scorecards")
TEA_TASTING = PROJECT_DIR / "benchmarks" / "tea_tasting_moments.py"
AGREEMENT = 1e-9
MOMENTS_GOAL, INCREMENTAL_GOAL, SCORECARDS_GOAL = 0.35, 0.1, 30.0
SEED = 7
SLOWEST = 8

# metric -> part -> column of the table of units
METRICS: dict[str, dict[str, str]] = {
    "spend": {"numerator": "spend"},
    "time_spent": {"numerator": "time_spent"},
    "turns": {"numerator": "turns"},
    "conversion": {"numerator": "converted"},
    "click_rate": {"numerator": "clicks", "denominator": "views"},
    "revenue": {"numerator": "revenue", "covariate_numerator": "revenue_before"},
}
KINDS = {"conversion": "proportion", "click_rate": "ratio"}
UNITS = """
create table units as
select
    'u' || unit::varchar as unit_id,
    case when random() < 5e-1 then 'control' else 'treatment' end as variant,
    -1e1 * ln(1 - random()) as spend, -3e0 * ln(1 - random()) as time_spent,
    floor(random() * 20) as turns, case when random() < 1e-1 then 1e0 else 0e0 end as converted,
    floor(random() * 5) as clicks, 5 + floor(random() * 9) as views,
    -8e0 * ln(1 - random()) as revenue, -8e0 * ln(1 - random()) as revenue_before
from range({units}) as units (unit)
"""
# what dbt has built before: one row per unit and metric, raw and shifted by the metric's means
UNIT_VALUES = """
insert into int_experiment_unit_values
with raw as (
    select
        unit_id, variant, {numerator} as numerator, {denominator} as denominator,
        {covariate_numerator} as covariate_numerator,
        {covariate_denominator} as covariate_denominator
    from units
), shifts as (
    select
        avg(numerator) as n, avg(denominator) as d, avg(covariate_numerator) as cn,
        avg(covariate_denominator) as cd
    from raw
)
select
    'experiment', '{metric}', '{kind}', unit_id, variant, date '2026-01-28', true,
    numerator, denominator, covariate_numerator, covariate_denominator,
    covariate_numerator is not null, 'experiment|{metric}|' || variant,
    numerator - n, denominator - d, covariate_numerator - cn, covariate_denominator - cd
from raw cross join shifts
"""
UNIT_VALUES_TABLE = """
create table int_experiment_unit_values (
    experiment_name varchar, metric_name varchar, kind varchar, unit_id varchar, variant varchar,
    as_of_date date, is_latest boolean, raw_numerator double, raw_denominator double,
    raw_covariate_numerator double, raw_covariate_denominator double, has_history boolean,
    arm_key varchar, numerator double, denominator double, covariate_numerator double,
    covariate_denominator double
)
"""
ARMS = """
create table int_experiment_arms as
select distinct arm_key, experiment_name, metric_name, kind, variant
from int_experiment_unit_values
"""
SEGMENTS = """
create table int_experiment_unit_segments as
select 'experiment' as experiment_name, unit_id, 'all' as segment_name, 'all' as segment_value
from units
"""

# the scorecard's models from moments on
SCORECARD_MODELS = (
    "int_experiment_tuning",
    "int_experiment_comparisons",
    "int_experiment_stratified",
    "int_experiment_estimates",
    "int_experiment_tests",
    "int_experiment_adjusted",
    "int_experiment_states",
    "int_experiment_programme",
    "rpt_experiment_looks",
    "rpt_experiment_results",
)
INCREMENTAL_TARGETS = ("+rpt_experiment_results", "+rpt_experiment_results_daily")


@dataclass(frozen=True)
class Run:
    """One timed run: seconds on the clock, seconds of all cores, and what came out."""

    wall: float
    cpu: float
    moments: dict[str, dict[str, dict[str, float]]]


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def verdict(value: float, goal: float) -> str:
    """The goal and whether the value, which should be low, reaches it."""
    return f"goal <= {goal:g}: {'reached' if value <= goal else 'NOT reached'}"


def _cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def connect(path: Path | str, *, is_read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a database on as many threads as the benchmark has cores."""
    return duckdb.connect(str(path), read_only=is_read_only, config={"threads": CORES})


def put_units(path: Path, units: int) -> None:
    """Write the table of units (a column a metric) and its long form (a row a metric)."""
    with connect(path) as connection:
        connection.execute(f"select setseed({1 / SEED})")
        connection.execute(UNITS.format(units=units))
        connection.execute(UNIT_VALUES_TABLE)
        for metric, parts in METRICS.items():
            columns = {
                "denominator": "1e0",
                "covariate_numerator": "null::double",
                "covariate_denominator": "1e0"
                if "covariate_numerator" in parts
                else "null::double",
            }
            kind = KINDS.get(metric, "mean")
            connection.execute(UNIT_VALUES.format(metric=metric, kind=kind, **columns | parts))
            say(f"  {metric}: {units:,} rows")
        connection.execute(ARMS)
        connection.execute(SEGMENTS)


def one(path: Path) -> None:
    """Time int_experiment_moments in this process; prints JSON."""
    sql = model_sql("int_experiment_moments")
    with connect(path, is_read_only=True) as connection:
        cpu, wall = _cpu_seconds(resource.RUSAGE_SELF), time.perf_counter()
        result = connection.execute(sql)
        rows = result.fetchall()
        wall = time.perf_counter() - wall
        cpu = _cpu_seconds(resource.RUSAGE_SELF) - cpu
        names = [column[0] for column in result.description or ()]
    moments: dict[str, dict[str, dict[str, float]]] = {metric: {} for metric in METRICS}
    for values in rows:
        row = dict(zip(names, values, strict=True))
        metric = row["metric_name"]
        moments[metric][row["variant"]] = derived(row, METRICS[metric])
    sys.stdout.write(orjson.dumps({"wall": wall, "cpu": cpu, "moments": moments}).decode())


def bare(path: Path, *, with_products: bool) -> None:
    """Time the least that moments of the columns need in DuckDB, written by hand; prints JSON."""
    columns = sorted({column for parts in METRICS.values() for column in parts.values()})
    sums = [f"sum({column})" for column in columns]
    if with_products:
        pairs = {(column, column) for column in columns}
        for parts in METRICS.values():
            numerator, *others = parts.values()
            pairs |= {(numerator, other) for other in others}
        sums += [f"sum({left} * {right})" for left, right in sorted(pairs)]
    with connect(path, is_read_only=True) as connection:
        cpu, wall = _cpu_seconds(resource.RUSAGE_SELF), time.perf_counter()
        connection.execute(
            f"select variant, count(*), {', '.join(sums)} from units group by variant"
        ).fetchall()
        wall = time.perf_counter() - wall
        cpu = _cpu_seconds(resource.RUSAGE_SELF) - cpu
    sys.stdout.write(orjson.dumps({"wall": wall, "cpu": cpu, "moments": {}}).decode())


def derived(row: dict[str, Any], parts: dict[str, str]) -> dict[str, float]:
    """Means, variances and covariances of a row of moments, as tea-tasting gives them."""
    units = row["units"]

    def covariance(part: str, other: str) -> float:
        shifted = row[f"{part}_sum"] * row[f"{other}_sum"] / units
        return float((row[f"{part}_{other}_sum"] - shifted) / (units - 1))

    return (
        {"units": units}
        | {f"{part}_mean": row[f"{part}_total"] / units for part in parts}
        | {f"{part}_variance": covariance(part, part) for part in parts}
        | {
            f"{part}_covariance": covariance("numerator", part)
            for part in parts
            if part != "numerator"
        }
    )


def timed(command: list[str]) -> Run:
    """Run one way in a process of its own; what it prints says how long it took, imports apart."""
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    if done.returncode:
        say(done.stderr)
        sys.exit(f"{' '.join(command[:3])} failed")
    return Run(**orjson.loads(done.stdout))


def largest_difference(left: Run, right: Run) -> float:
    """Relative to the size of the number; covariances near 0 relative to 1."""
    difference = 0.0
    for metric, arms in left.moments.items():
        for variant, numbers in arms.items():
            for name, value in numbers.items():
                other = right.moments[metric][variant][name]
                scale = max(abs(other), 1.0) if name.endswith("_covariance") else abs(other)
                difference = max(difference, abs(value - other) / scale)
    return difference


def compare_moments(folder: Path, units: int, rounds: int) -> bool:
    """Print CPU seconds of attune's model and of tea-tasting; False if they disagree."""
    reference = Path(sys.prefix) / "reference" / "bin" / "python"
    if not reference.exists():
        sys.exit(f"no tea-tasting in {reference.parents[1]}: make .venv/.stamp-reference makes it")
    say(f"\nMoments of {len(METRICS)} metrics over {units:,} units; writing the tables ...")
    path = folder / "units.duckdb"
    put_units(path, units)
    metrics = orjson.dumps(METRICS).decode()
    tea = [str(reference), str(TEA_TASTING), str(path)]
    own = [sys.executable, "-m", "benchmarks.experiments", "--one", str(path)]
    ways = {
        "attune, int_experiment_moments": own,
        "tea-tasting, the same rows by Ibis": [*tea, "ibis-rows", str(CORES), metrics],
        "tea-tasting, columns by Ibis": [*tea, "ibis", str(CORES), metrics],
        "tea-tasting, columns by Narwhals": [*tea, "narwhals", str(CORES), metrics],
    }
    # without shifts, so right only where means are small beside deviations
    floors = {
        "bare SQL, columns, sums and products": [*own, "--bare", "products"],
        "bare SQL, columns, sums alone": [*own, "--bare", "sums"],
    }
    commands = ways | floors
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(1, rounds + 1):
        for name, command in commands.items():
            runs[name].append(timed(command))
        say(f"  round {number} of {rounds} done")
    path.unlink()
    cpu = {name: statistics.median(run.cpu for run in found) for name, found in runs.items()}
    say(f"\n{'':40}{'s':>8}{'CPU s':>8}")
    for name, found in runs.items():
        say(f"{name:40}{statistics.median(run.wall for run in found):8.2f}{cpu[name]:8.2f}")
    attune, *others = ways
    agree = True
    for name in others:
        ratio = cpu[attune] / cpu[name]
        difference = largest_difference(runs[attune][0], runs[name][0])
        agree = agree and difference <= AGREEMENT
        say(
            f"CPU of attune / {name}: {ratio:.2f} ({verdict(ratio, MOMENTS_GOAL)}); "
            f"numbers agree to {difference:.1e}"
        )
    fastest = min(others, key=cpu.__getitem__)
    for name in floors:
        say(f"CPU of {name} / {fastest}: {cpu[name] / cpu[fastest]:.2f}")
    return agree


def dbt_build(home: Path, label: str) -> tuple[float, float, dict[str, float]]:
    """Build the scorecard's models; clock and CPU of the process, and seconds of each model."""
    target = home / f"target-{label}"
    options = ["--profiles-dir", ".", "--target-path", str(target), "--log-path", str(target)]
    environment = {**os.environ, "ATTUNE_HOME": str(home)}
    environment.pop("ATTUNE_DECLARATIONS", None)
    # the log is as detailed as that of `attune build`
    dbt = [str(Path(sys.executable).with_name("dbt")), "--quiet", "--log-level-file", "info"]
    seeding = [*dbt, "seed", *options]
    running = [*dbt, "run", *options, "--threads", "1", "--select", *INCREMENTAL_TARGETS]
    subprocess.run(seeding, cwd=PROJECT_DIR, env=environment, check=True)
    cpu, wall = _cpu_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(running, cwd=PROJECT_DIR, env=environment, check=True)
    wall = time.perf_counter() - wall
    cpu = _cpu_seconds(resource.RUSAGE_CHILDREN) - cpu
    results = orjson.loads((target / "run_results.json").read_bytes())["results"]
    seconds = {
        result["unique_id"].rpartition(".")[2]: float(result["execution_time"])
        for result in results
        if result["unique_id"].startswith("model.")
    }
    return wall, cpu, seconds


def attune(home: Path, *arguments: str) -> None:
    """Run the attune command on a workspace."""
    command = [str(Path(sys.executable).with_name("attune")), *arguments, "--json"]
    environment = {**os.environ, "ATTUNE_HOME": str(home)}
    subprocess.run(command, cwd=PROJECT_DIR, env=environment, check=True, stdout=subprocess.DEVNULL)


def compare_incremental(folder: Path, users: int, days: int) -> None:
    """Print what a day's build costs beside the full one, and which models cost it."""
    home = folder / "home"
    say(f"\nScorecards of {users:,} users over {days} days, then one more day")
    attune(home, "simulate", "--users", str(users), "--days", str(days), "--seed", str(SEED))
    attune(home, "ingest")
    say("  full build ...")
    full = dbt_build(home, "full")
    attune(home, "simulate", "--more-days", "1")
    attune(home, "ingest")
    say("  build of one more day ...")
    daily = dbt_build(home, "daily")
    say(f"\n{'':40}{'full':>8}{'one day':>9}{'ratio':>7}")
    for label, whole, part in (
        ("all of dbt run, s", full[0], daily[0]),
        ("all of dbt run, CPU s", full[1], daily[1]),
        ("models alone, s", sum(full[2].values()), sum(daily[2].values())),
    ):
        say(f"{label:40}{whole:8.1f}{part:9.1f}{part / whole:7.2f}")
    ratio = sum(daily[2].values()) / sum(full[2].values())
    say(f"models alone: {ratio:.2f} ({verdict(ratio, INCREMENTAL_GOAL)})")
    say("\nSlowest models of the day's build")
    for name in sorted(daily[2], key=daily[2].__getitem__, reverse=True)[:SLOWEST]:
        say(f"{name:40}{full[2][name]:8.2f}{daily[2][name]:9.2f}")


def put_scorecards(
    connection: duckdb.DuckDBPyConnection, experiments: int, metrics: int, arms: int
) -> int:
    """Declare experiments and write the moments of their arms; returns the rows."""
    connection.execute(f"""
        create table stg_declarations__experiments as
        select
            'experiment_' || number as experiment_name, 'user' as unit,
            'arm_0' as control_variant, 'sequential' as inference, null::varchar as bounds,
            5e-2 as alpha, 8e-1 as power, timestamp '2026-01-01' as started_at,
            timestamp '2026-01-29' as ended_at, 20000::bigint as planned_units,
            null::varchar as stratify_by, null::varchar as trigger_event,
            null::double as holdout_share
        from range({experiments}) as numbers (number);
        create table int_metrics_declared as
        select
            'metric_' || number as metric_name,
            case number % 3 when 0 then 'mean' when 1 then 'proportion' else 'ratio' end as kind,
            'up' as better, null::double as cap_quantile, null::double as quantile,
            0 as delay_days, null::integer as window_days, 28 as covariate_days
        from range({metrics}) as numbers (number);
        create table stg_declarations__experiment_variants as
        select experiment_name, 'arm_' || number as variant, 1e0 as allocation
        from stg_declarations__experiments cross join range({arms}) as numbers (number);
        create table stg_declarations__experiment_metrics as
        select
            experiment_name, metric_name,
            case metric_name when 'metric_0' then 'success' else 'exploratory' end as role,
            1e-2 as minimum_effect, null::double as prior_mean, null::double as prior_std_dev
        from stg_declarations__experiments cross join int_metrics_declared;
        create table int_as_of as select timestamp '2026-02-01' as as_of;
        create table int_experiment_units (
            experiment_name varchar, unit_id varchar, variant varchar, first_exposed_at timestamp,
            analysed_from timestamp, role varchar
        );
        create table int_experiment_unit_events (
            unit varchar, unit_id varchar, metric_name varchar, occurred_at timestamp,
            numerator double, denominator double
        );
        create table int_experiment_unit_segments (
            experiment_name varchar, unit_id varchar, segment_name varchar, segment_value varchar
        );
    """)
    for name, columns in EMPTY.items():
        connection.execute(f"create table {name} ({columns})")
    for name in TO_MOMENTS:
        connection.execute(f"create table {name} as {model_sql(name)}")
    # 6,600 units an arm; totals and products that arms of such units have
    connection.execute(f"""
        insert into int_experiment_moments by name
        select
            experiment_name, metric_name, kind, variant, 'all' as segment_name,
            'all' as segment_value, 6600 as units, 0 as units_without_history,
            {MOMENTS_OF_AN_ARM}
        from stg_declarations__experiment_variants
        inner join stg_declarations__experiment_metrics using (experiment_name)
        inner join int_metrics_declared using (metric_name)
        cross join lateral (select hash(experiment_name, metric_name, variant) % 1000 / 1e4 as noise)
    """)
    (rows,) = connection.execute("select count(*) from int_experiment_moments").fetchone() or (0,)
    return int(rows)


MOMENTS_OF_AN_ARM = """
    6600 * (3e-1 + noise) as numerator_total, 6600 * (noise - 5e-2) as numerator_sum,
    6600 * case kind when 'ratio' then 4e0 else 1e0 end as denominator_total,
    0e0 as denominator_sum,
    6600 * 3e-1 as covariate_numerator_total, 0e0 as covariate_numerator_sum,
    6600 * case kind when 'ratio' then 4e0 else 1e0 end as covariate_denominator_total,
    0e0 as covariate_denominator_sum,
    6600 * 2.2e-1 as numerator_numerator_sum,
    case kind when 'ratio' then 6600 * 2e-1 else 0e0 end as numerator_denominator_sum,
    6600 * 1e-1 as numerator_covariate_numerator_sum,
    case kind when 'ratio' then 6600 * 1e-1 else 0e0 end as numerator_covariate_denominator_sum,
    case kind when 'ratio' then 6600 * 2e0 else 0e0 end as denominator_denominator_sum,
    case kind when 'ratio' then 6600 * 1e-1 else 0e0 end as denominator_covariate_numerator_sum,
    case kind when 'ratio' then 6600 * 1e0 else 0e0 end as denominator_covariate_denominator_sum,
    6600 * 2.1e-1 as covariate_numerator_covariate_numerator_sum,
    case kind when 'ratio' then 6600 * 2e-1 else 0e0 end
        as covariate_numerator_covariate_denominator_sum,
    case kind when 'ratio' then 6600 * 2e0 else 0e0 end
        as covariate_denominator_covariate_denominator_sum
"""


def time_scorecards(experiments: int, metrics: int, arms: int) -> None:
    """Print the seconds from ready moments to the scorecard, and of each model."""
    with connect(":memory:") as connection:
        rows = put_scorecards(connection, experiments, metrics, arms)
        say(f"\nScorecards of {experiments} experiments x {metrics} metrics x {arms} arms")
        models = Models()
        seconds: dict[str, tuple[float, float]] = {}
        for name in SCORECARD_MODELS:
            cpu, wall = _cpu_seconds(resource.RUSAGE_SELF), time.perf_counter()
            models.build(connection, [name])
            seconds[name] = (
                time.perf_counter() - wall,
                _cpu_seconds(resource.RUSAGE_SELF) - cpu,
            )
            say(f"{name:40}{seconds[name][0]:8.2f} s{seconds[name][1]:8.2f} CPU s")
        counts = connection.execute(
            "select count(*), count(*) filter (status = 'ok') from rpt_experiment_results"
        ).fetchone() or (0, 0)
    total = math.fsum(wall for wall, _ in seconds.values())
    say(
        f"{rows:,} rows of moments to {counts[0]:,} of results ({counts[1]:,} ok): {total:.1f} s "
        f"({verdict(total, SCORECARDS_GOAL)})"
    )


def main() -> None:
    """Run the parts that are asked for; exit with 1 where attune and tea-tasting disagree."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments",
        description="How fast scorecards are; goals are printed beside what was measured.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this; may repeat")
    for name, default, meaning in (
        ("units", 10_000_000, "of the moments"),
        ("rounds", 3, "of the moments; medians are printed"),
        ("users", 20_000, "of the history that one day is added to"),
        ("days", 90, "of that history"),
        ("experiments", 200, "of the ready moments"),
        ("metrics", 50, "of each experiment with ready moments"),
        ("arms", 3, "of each experiment with ready moments"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    parser.add_argument("--one", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--bare", choices=("sums", "products"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare(arguments.one, with_products=arguments.bare == "products")
        return
    if arguments.one:
        one(arguments.one)
        return
    parts = arguments.part or PARTS
    agree = True
    (PROJECT_DIR / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT_DIR / "target") as folder:
        if "scorecards" in parts:
            time_scorecards(arguments.experiments, arguments.metrics, arguments.arms)
        if "moments" in parts:
            agree = compare_moments(Path(folder), arguments.units, arguments.rounds)
        if "incremental" in parts:
            compare_incremental(Path(folder), arguments.users, arguments.days)
    sys.exit(0 if agree else "attune and tea-tasting do not agree")


if __name__ == "__main__":
    main()
