"""How fast off-policy values are: the models beside one hand-written scan of the same decisions.

Run `make bench`, or `python -m benchmarks.policies --help` for other sizes. What is compared, and what
the numbers mean, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from tests.dbt.experiments.model_sql import build, project_variables, rows
from tests.dbt.policies.logged_decisions import OFF_POLICY_MODELS

CORES = 2
GOAL = 3.0
AGREEMENT = 1e-9
# 20 contexts x 3 positions x 10 actions, logged uniformly; a click in 5 to 15 of 100
DECISIONS = """
create table fct_decisions as
with drawn as (
    select
        number,
        hash('context' || number) % 20 as context_number,
        hash('action' || number) % 10 as action_number,
        hash('reward' || number) % 10000 / 1e4 as chance
    from range({decisions}) as numbers (number)
)
select
    'e' || number as event_id, 'point' as decision_point, 'u' || number % 100000 as user_id,
    'context ' || context_number as context, cast(number % 3 as bigint) as position,
    'action ' || action_number as action, 1e-1 as propensity,
    case when chance < 5e-2 + action_number / 1e2 then 1e0 else 0e0 end as reward
from drawn
"""
DECLARED = """
create table stg_declarations__decision_points as
select 'point' as decision_point, 200e0 as reward_prior_strength, 1::bigint as reward_model_folds;
create table int_target_policies as
select
    'target' as policy_name, 'point' as decision_point, null::varchar as context,
    null::bigint as position, 'action ' || number as action, (number + 1) / 55e0 as probability
from range(10) as numbers (number)
"""
# what one would write to know IPS, SNIPS and the error of IPS, and nothing else
HAND_WRITTEN = """
with weighted as (
    select
        decisions.decision_point, policies.policy_name, decisions.reward,
        policies.probability / decisions.propensity as weight
    from fct_decisions as decisions
    inner join int_target_policies as policies using (decision_point, action)
    where decisions.reward is not null
)
select
    policy_name, decision_point, count(*) as decisions,
    sum(weight * reward) / count(*) as ips, sum(weight * reward) / sum(weight) as snips,
    stddev_samp(weight * reward) / sqrt(count(*)) as ips_error,
    sum(weight) * sum(weight) / sum(weight * weight) as effective_sample_size,
    max(weight) as maximum_weight
from weighted
group by policy_name, decision_point
"""


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def hand_written(connection: duckdb.DuckDBPyConnection) -> tuple[float, dict[str, Any]]:
    """CPU seconds of the one scan, and its row."""
    start = _cpu_seconds()
    (row,) = rows(connection, HAND_WRITTEN)
    return _cpu_seconds() - start, row


def models(
    connection: duckdb.DuckDBPyConnection, variables: dict[str, Any]
) -> tuple[float, dict[str, tuple[float, float]]]:
    """CPU seconds of all models together; clock and CPU seconds of each."""
    seconds = {}
    for name in OFF_POLICY_MODELS:
        cpu, wall = _cpu_seconds(), time.perf_counter()
        build(connection, name, variables=variables)
        seconds[name] = (time.perf_counter() - wall, _cpu_seconds() - cpu)
    return math.fsum(cpu for _, cpu in seconds.values()), seconds


def agree(connection: duckdb.DuckDBPyConnection, wanted: dict[str, Any]) -> bool:
    """Whether the models say what the scan says."""
    found = {row["estimator"]: row for row in rows(connection, "select * from rpt_policy_values")}
    pairs = [
        (found["ips"]["value"], wanted["ips"]),
        (found["ips"]["std_error"], wanted["ips_error"]),
        (found["snips"]["value"], wanted["snips"]),
        (found["ips"]["effective_sample_size"], wanted["effective_sample_size"]),
        (found["ips"]["maximum_weight"], wanted["maximum_weight"]),
    ]
    return all(math.isclose(left, right, rel_tol=AGREEMENT) for left, right in pairs)


def main() -> None:
    """Print the ratio of CPU seconds; exit with 1 where models and scan disagree."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.policies",
        description="How fast off-policy values are; the goal is printed beside what was measured.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--decisions", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="medians are printed")
    chosen = parser.parse_args()
    variables = project_variables()
    say(f"Off-policy values over {chosen.decisions:,} decisions; writing them ...")
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "log.duckdb"), config={"threads": CORES}) as connection,
    ):
        connection.execute(DECISIONS.format(decisions=chosen.decisions))
        connection.execute(DECLARED)
        scans, builds = [], []
        for _ in range(chosen.rounds):
            scan, wanted = hand_written(connection)
            built, seconds = models(connection, variables)
            scans.append(scan)
            builds.append(built)
        is_agreed = agree(connection, wanted)
    say(f"{'':40}{'s':>8}{'CPU s':>8}")
    for name, (wall, cpu) in seconds.items():
        say(f"{name:40}{wall:8.2f}{cpu:8.2f}")
    scan, built = statistics.median(scans), statistics.median(builds)
    ratio = built / scan
    say(f"{'all':48}{built:8.2f}")
    say(f"{'one hand-written scan (IPS and SNIPS)':48}{scan:8.2f}")
    reached = "reached" if ratio <= GOAL else "NOT reached"
    say(f"CPU of the models / of the scan: {ratio:.2f} (goal <= {GOAL:g}: {reached})")
    sys.exit(0 if is_agreed else "models and scan do not agree")


if __name__ == "__main__":
    main()
