"""What an incremental build leaves of a touched key: the new rows alone, most of them unwritten."""

from __future__ import annotations

from collections import Counter
from datetime import date
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dbt.experiments.model_sql import Relation, render, strategy_arguments

Row = tuple[Any, ...]

KEPT, TOUCHED, VANISHED = (date(2026, 3, day) for day in (1, 2, 3))
PART = "/7f"
# few values, so that rows repeat; lists and nulls, which joins compare in their own way
VALUES = (
    st.sampled_from([None, 0.0, 1.5, float("inf")]),
    st.sampled_from([None, [], [None], ["a"], ["a", None]]),
)
HELD = st.lists(st.tuples(st.sampled_from([KEPT, TOUCHED, VANISHED]), *VALUES), max_size=12)
NEW = st.lists(st.tuples(st.just(TOUCHED), *VALUES), max_size=12)


def make(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    connection.execute(
        f"create table {table} (event_date date, amount double, tags varchar[], user_id varchar, "
        "batch_id varchar, unit_part varchar)"
    )
    if rows:
        connection.executemany(
            f"insert into {table} values ($1, $2, $3, $1, $1, concat($1, '{PART}'))", rows
        )


def overwrite(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Run the strategy on `held` and `held__new`, of which TOUCHED and VANISHED are touched."""
    connection.execute("create schema incremental_state")
    connection.execute("create table incremental_state.held__touched (version_key varchar)")
    connection.execute(
        "insert into incremental_state.held__touched values (concat($1, $3)), (concat($2, $3))",
        [TOUCHED, VANISHED, PART if key == "unit_part" else ""],
    )
    column = SimpleNamespace(values=lambda: [TOUCHED, VANISHED])
    arguments = strategy_arguments(connection, "held")
    overwritten = {"key": key, "versions": "versions", "declarations": [], "reads_metrics": False}
    context = {
        "execute": True,
        "is_incremental": lambda: True,
        "this": arguments.target_relation,
        "api": SimpleNamespace(Relation=Relation),
        "graph": SimpleNamespace(nodes={}, sources={}),
        "local_md5": lambda code: code,
        "run_query": lambda _: SimpleNamespace(columns=[column]),
        "arguments": arguments,
        "model": SimpleNamespace(
            raw_code="",
            depends_on=SimpleNamespace(nodes=[]),
            config=SimpleNamespace(meta=SimpleNamespace(overwrite=SimpleNamespace(**overwritten))),
        ),
    }
    strategy = "{{ get_incremental_overwrite_touched_sql(arguments) }}"
    connection.execute(render(strategy, context=context))


@pytest.mark.parametrize("key", ["event_date", "unit_part", "batch_id", "user_id"])
@settings(deadline=None, max_examples=50)
@given(held=HELD, new=NEW)
def test_touched_keys_hold_the_new_rows_and_nothing_else(
    key: str, held: list[Row], new: list[Row]
) -> None:
    with duckdb.connect() as connection:
        make(connection, "held", held)
        make(connection, "held__new", new)
        overwrite(connection, key)
        after = connection.execute("select event_date, amount, tags from held").fetchall()
    expected = [row for row in held if row[0] == KEPT] + new
    assert Counter(map(repr, after)) == Counter(map(repr, expected))


@pytest.mark.parametrize("key", ["event_date", "unit_part", "batch_id"])
def test_rows_that_stay_the_same_are_not_written(key: str) -> None:
    places = "select amount, rowid from held"
    with duckdb.connect() as connection:
        make(connection, "held", [(TOUCHED, float(amount), None) for amount in range(5)])
        make(connection, "held__new", [(TOUCHED, amount, None) for amount in (4.0, 2.0, 0.0, 7.0)])
        before = dict(connection.execute(places).fetchall())
        overwrite(connection, key)
        after = dict(connection.execute(places).fetchall())
    assert after.keys() == {0.0, 2.0, 4.0, 7.0}
    assert {amount: after[amount] for amount in (0.0, 2.0, 4.0)} == {
        amount: before[amount] for amount in (0.0, 2.0, 4.0)
    }


def test_other_parts_of_a_touched_date_stay() -> None:
    with duckdb.connect() as connection:
        make(connection, "held", [(TOUCHED, 1.0, None)])
        connection.execute("update held set unit_part = concat(event_date, '/80')")
        make(connection, "held__new", [(TOUCHED, 2.0, None)])
        overwrite(connection, "unit_part")
        after = connection.execute("select amount, unit_part from held order by amount").fetchall()
    assert after == [(1.0, f"{TOUCHED}/80"), (2.0, f"{TOUCHED}{PART}")]
