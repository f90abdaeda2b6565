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
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np

from tests.dbt.preferences.preference_world import SCORES, START, PreferenceWorld, Signals

CORES = 2
SEED = 7
DAYS = 28
# what a user liked is drawn from a Beta distribution of the value, so that users differ
PARTIALS = """
insert into int_preference_partials_daily
with drawn as (
    select
        'u' || u as user_id, 'd' || d as dimension, 'v' || v as value,
        date '2026-03-02' + cast(floor(random() * {days}) as integer) as event_date,
        1 + cast(floor(random() * 5) as bigint) as n,
        0.2 + 0.6 * ((hash(u, d, v) % 1000) / 1000.0) as rate
    from range({first}, {last}) as users (u), range({dimensions}) as dims (d), range({values}) as vs (v)
), counted as (
    select *, cast(round(n * rate) as bigint) as k from drawn
)
select
    user_id, dimension, 'all' as context, value, event_date, date '2026-03-31' as loaded_date,
    false as is_reset, n as evidence_count, n as binary_count, k as favourable_count,
    n::double as trials, k::double as successes, n::double as decayed_trials,
    k::double as decayed_successes, event_date::timestamp as first_signal_at,
    event_date::timestamp as last_signal_at,
    case when k > 0 then event_date::timestamp end as last_favourable_at,
    (hash(user_id, dimension, value) >> 4)::bigint as checksum
from counted
"""


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
            PARTIALS.format(first=first, last=last, dimensions=dimensions, values=values, days=DAYS)
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


def main() -> None:
    """Print the seconds of each model of the pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=12)
    parser.add_argument("--values", type=int, default=5)
    chosen = parser.parse_args()
    rows = chosen.users * chosen.dimensions * chosen.values
    say(f"Scoring {chosen.users:,} users: {rows:,} daily partials; writing them ...")
    with tempfile.TemporaryDirectory() as folder:
        world = put_world(
            Path(folder) / "partials.duckdb", chosen.users, chosen.dimensions, chosen.values
        )
        total = 0.0
        for name in SCORES[1:]:
            start = time.perf_counter()
            world.build(name)
            seconds = time.perf_counter() - start
            total += seconds
            say(f"{name:40}{seconds:8.2f} s")
        (scored,) = world.query("select count(*) as n from fct_preference_scores")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        say(
            f"{'all':40}{total:8.2f} s: {scored['n'] / total:,.0f} scores a second, "
            f"{memory:.1f} GB of memory"
        )


if __name__ == "__main__":
    main()
