"""How fast preferences are scored: every user, dimension and value from daily partials in one pass.

Run `make bench`, or `python -m benchmarks.preferences --help` for other sizes. What is measured, and
what the numbers mean, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np

from tests.dbt.preferences.preference_world import (
    FIRST_DAY,
    SCORES,
    START,
    PreferenceWorld,
    Signals,
)

CORES = 2
SEED = 7
DAYS = 28
LOADED = "2026-03-31"
# users that the batch within the day touches, and what it may cost beside the full pass
TOUCHED_SHARE = 0.01
GOAL = 0.1
# what a user liked is drawn from a Beta distribution of the value, so that users differ
PARTIALS = """
insert into int_preference_partials_daily
with drawn as (
    select
        'u' || u as user_id, 'd' || d as dimension, 'v' || v as value,
        date '{first_day}' + cast(floor(random() * {days}) as integer) as event_date,
        1 + cast(floor(random() * 5) as bigint) as n,
        0.2 + 0.6 * ((hash(u, d, v) % 1000) / 1000.0) as rate
    from range({first}, {last}) as users (u), range({dimensions}) as dims (d), range({values}) as vs (v)
), counted as (
    select *, cast(round(n * rate) as bigint) as k from drawn
)
select
    user_id, dimension, 'all' as context, value, event_date, date '{loaded}' as loaded_date,
    false as is_reset, n as evidence_count, n as binary_count, k as favourable_count,
    n::double as trials, k::double as successes, n::double as decayed_trials,
    k::double as decayed_successes, event_date::timestamp as first_signal_at,
    event_date::timestamp as last_signal_at,
    case when k > 0 then event_date::timestamp end as last_favourable_at,
    (hash(user_id, dimension, value) >> 4)::bigint as checksum
from counted
"""


@dataclass(frozen=True)
class Cost:
    """What building took: wall-clock and CPU seconds, the latter of all threads."""

    seconds: float
    cpu_seconds: float


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def put_world(path: Path, users: int, dimensions: int, values: int) -> PreferenceWorld:
    """Write users with one daily partial for each dimension and value."""
    connection = duckdb.connect(str(path), config={"threads": CORES})
    connection.execute(f"select setseed({1 / SEED})")
    world = PreferenceWorld(as_of=START + timedelta(days=DAYS + 3), connection=connection)
    nobody, nothing = np.empty(0, dtype=np.int64), np.empty(0)
    world.put(Signals(nobody, nobody, nothing, nothing).table())
    world.build("int_preference_partials_daily")
    step = 100_000
    for first in range(0, users, step):
        last = min(first + step, users)
        connection.execute(
            PARTIALS.format(
                first=first,
                last=last,
                dimensions=dimensions,
                values=values,
                first_day=FIRST_DAY,
                days=DAYS,
                loaded=LOADED,
            )
        )
    connection.execute(
        "create or replace table int_users_personalizable as "
        f"select 'u' || u as user_id from range({users}) as users (u)"
    )
    connection.execute(
        "create or replace table dim_users as "
        "select user_id, false as is_excluded from int_users_personalizable"
    )
    connection.execute(
        "create or replace table stg_declarations__preference_dimensions as "
        "select 'd' || d as dimension, 'v0' as default_value, null::double as half_life_days, "
        f"0.0 as serve_threshold from range({dimensions}) as dims (d)"
    )
    return world


def put_batch(world: PreferenceWorld, users: int, dimensions: int, values: int) -> None:
    """Add a batch of the build's own day about the first users."""
    world.connection.execute(
        PARTIALS.format(
            first=0,
            last=users,
            dimensions=dimensions,
            values=values,
            first_day=world.as_of.date(),
            days=1,
            loaded=world.as_of.date(),
        )
    )


def score(world: PreferenceWorld) -> dict[str, Cost]:
    """Build the models of the pass and say what each cost."""
    costs = {}
    for name in SCORES[1:]:
        start, cpu_start = time.perf_counter(), time.process_time()
        world.build_incrementally(name)
        costs[name] = Cost(time.perf_counter() - start, time.process_time() - cpu_start)
    costs["all"] = Cost(
        sum(cost.seconds for cost in costs.values()),
        sum(cost.cpu_seconds for cost in costs.values()),
    )
    return costs


def main() -> None:
    """Print what each model of the pass costs, and what a batch within the day costs beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=12)
    parser.add_argument("--values", type=int, default=5)
    chosen = parser.parse_args()
    rows = chosen.users * chosen.dimensions * chosen.values
    touched = max(1, round(chosen.users * TOUCHED_SHARE))
    say(f"Scoring {chosen.users:,} users: {rows:,} daily partials; writing them ...")
    with tempfile.TemporaryDirectory() as folder:
        world = put_world(
            Path(folder) / "partials.duckdb", chosen.users, chosen.dimensions, chosen.values
        )
        full = score(world)
        put_batch(world, touched, chosen.dimensions, chosen.values)
        batch = score(world)
        (scored,) = world.query("select count(*) as n from fct_preference_scores")
    say(f"{'':40}{'full pass':>20}{'batch within the day':>24}")
    say(f"{'':40}{'s':>10}{'CPU s':>10}{'s':>14}{'CPU s':>10}")
    for name, cost in full.items():
        say(
            f"{name:40}{cost.seconds:10.2f}{cost.cpu_seconds:10.2f}"
            f"{batch[name].seconds:14.2f}{batch[name].cpu_seconds:10.2f}"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"Full pass: {scored['n'] / full['all'].seconds:,.0f} scores/s, {memory:.1f} GB of memory")
    share = batch["all"].cpu_seconds / full["all"].cpu_seconds
    say(
        f"A batch that touches {touched:,} users costs {share:.3f} of the full pass in CPU time "
        f"(goal: at most {GOAL}): {'reached' if share <= GOAL else 'NOT reached'}"
    )


if __name__ == "__main__":
    main()
