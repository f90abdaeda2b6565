"""Decisions as the model resolves them: contexts of several attributes, bins, excluded units, twins."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb

from tests.dbt.experiments.model_sql import build, rows

AT = datetime.fromisoformat("2026-03-02T11:00:00")


def decisions(
    exposures: list[dict[str, Any]],
    *,
    context: str | None = "task.kind;confidence",
    excluded: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """Resolve exposures."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table int_exposures_resolved (event_id varchar, flag_key varchar, "
            "variant varchar, unit_id varchar, user_id varchar, session_id varchar, "
            "organization_id varchar, trace_id varchar, position bigint, occurred_at timestamp, "
            "reason varchar, propensity double, attributes map(varchar, varchar))"
        )
        for number, given in enumerate(exposures):
            exposure = {
                "event_id": f"e{number}",
                "flag_key": "point",
                "variant": "a",
                "unit_id": "ada",
                "trace_id": f"t{number}",
                "occurred_at": AT + timedelta(minutes=number),
                "propensity": 0.5,
                "attributes": {},
            } | given
            connection.execute(
                f"insert into int_exposures_resolved ({', '.join(exposure)}) values "
                f"({', '.join('?' for _ in exposure)})",
                list(exposure.values()),
            )
        connection.execute(
            "create table stg_declarations__decision_points as "
            "select 'point' as decision_point, $1::varchar as context_attribute",
            [context],
        )
        connection.execute(
            "create table stg_declarations__context_bins as select * from (values "
            "('confidence', 'low', null::double, 0.5), ('confidence', 'high', 0.5, null)) "
            "as bins (attribute, bin, lower, upper)"
        )
        connection.execute(
            "create table int_units_excluded as select unnest($1::varchar[]) as unit_id",
            [list(excluded)],
        )
        build(connection, "int_decisions_resolved")
        return rows(connection, "select * from int_decisions_resolved order by event_id")


def test_a_context_of_several_attributes_is_binned_and_says_what_is_missing() -> None:
    found = decisions(
        [
            {"attributes": {"task.kind": "fix", "confidence": "0.2"}},
            {"attributes": {"task.kind": "fix", "confidence": "0.5"}},
            {"attributes": {"task.kind": "fix", "confidence": "unknown"}},
            {"attributes": {"confidence": "0.9"}},
            {"attributes": {"task.kind": "", "confidence": ""}},
        ]
    )
    assert [row["context"] for row in found] == [
        "fix,low",
        "fix,high",
        "fix,unknown",
        "missing,high",
        "missing,missing",
    ]


def test_a_decision_point_without_attributes_has_one_context() -> None:
    (row,) = decisions([{"attributes": {"task.kind": "fix"}}], context=None)
    assert row["context"] == "all"


def test_decisions_of_excluded_units_are_left_out() -> None:
    found = decisions([{"unit_id": "bot"}, {"unit_id": "ada"}], excluded=("bot",))
    assert [row["unit_id"] for row in found] == ["ada"]


def test_twins_of_a_trace_are_one_decision_and_positions_are_not() -> None:
    twin = {"trace_id": "t", "attributes": {"task.kind": "fix", "confidence": "0.9"}}
    found = decisions(
        [
            {**twin, "propensity": None, "attributes": {}},
            twin,
            {**twin, "position": 1},
            {**twin, "trace_id": None},
            {**twin, "trace_id": None},
        ]
    )
    assert [(row["event_id"], row["position"], row["context"]) for row in found] == [
        ("e0", 0, "fix,high"),
        ("e2", 1, "fix,high"),
        ("e3", 0, "fix,high"),
        ("e4", 0, "fix,high"),
    ]
    assert [row["propensity"] for row in found] == [0.5] * 4
