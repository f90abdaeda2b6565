"""What an experiment's version says: whether anything that its rows are made of has changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import duckdb
import pytest

from tests.dbt.experiments.model_sql import build, fill, rows

STARTED_AT = "2026-03-02"


@dataclass(frozen=True, slots=True)
class World:
    """One experiment, whose metric is watched for three days after a delay of one, and its input."""

    ended_at: str | None = "2026-03-12"
    trigger_event: str | None = None
    as_of: str = "2026-03-20"
    # the last window closes on 16 March
    early: str = "a"
    last: str = "b"
    later: str = "c"
    variant: str = "control"
    excluded: str = "bot"
    declared: str = "d"
    late_events: int = 0


def version(world: World) -> str:
    with duckdb.connect() as connection:
        fill(
            connection,
            "stg_declarations__experiments",
            {"experiment_name": "varchar", "ended_at": "timestamp", "trigger_event": "varchar"},
            [
                {
                    "experiment_name": "e",
                    "ended_at": world.ended_at,
                    "trigger_event": world.trigger_event,
                }
            ],
        )
        names = {"experiment_name": "varchar", "metric_name": "varchar"}
        metrics = [{"experiment_name": "e", "metric_name": name} for name in ("short", "long")]
        fill(connection, "stg_declarations__experiment_metrics", names, metrics)
        fill(
            connection,
            "int_metrics_declared",
            {"metric_name": "varchar", "delay_days": "double", "window_days": "double"},
            [
                {"metric_name": "short", "delay_days": 9.0},
                {"metric_name": "long", "delay_days": 1.0, "window_days": 3.0},
            ],
        )
        fill(
            connection,
            "int_experiment_units",
            {
                **dict.fromkeys(
                    ("experiment_name", "unit_id", "variant", "role", "first_event_id"), "varchar"
                ),
                **dict.fromkeys(("first_exposed_at", "analysed_from"), "timestamp"),
            },
            [
                {
                    "experiment_name": "e",
                    "unit_id": "u1",
                    "variant": world.variant,
                    "role": "analysed",
                    "first_event_id": "x1",
                    "first_exposed_at": STARTED_AT,
                    "analysed_from": STARTED_AT,
                }
            ],
        )
        fill(
            connection, "int_units_excluded", {"unit_id": "varchar"}, [{"unit_id": world.excluded}]
        )
        fill(
            connection,
            "int_event_date_versions",
            {"event_date": "date", "version": "varchar"},
            [
                {"event_date": date(2026, 2, 1), "version": world.early},
                {"event_date": date(2026, 3, 16), "version": world.last},
                {"event_date": date(2026, 3, 17), "version": world.later},
            ],
        )
        fill(
            connection,
            "int_experiment_arrivals",
            {"experiment_name": "varchar", "variant": "varchar", "event_date": "date"}
            | {"late_events": "bigint"},
            [
                {
                    "experiment_name": "e",
                    "variant": "control",
                    "event_date": date(2026, 3, 3),
                    "late_events": world.late_events,
                }
            ],
        )
        fill(
            connection,
            "int_declaration_versions",
            {"declaration": "varchar", "version": "varchar"},
            [{"declaration": "experiments", "version": world.declared}],
        )
        fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": world.as_of}])
        build(connection, "int_experiment_versions")
        (row,) = rows(connection, "select * from int_experiment_versions")
    assert row["experiment_name"] == "e"
    return str(row["version"])


CLOSED = World()


@pytest.mark.parametrize(
    "changed",
    [
        replace(CLOSED, early="z"),
        replace(CLOSED, last="z"),
        replace(CLOSED, variant="treatment"),
        replace(CLOSED, excluded="u2"),
        replace(CLOSED, declared="z"),
        replace(CLOSED, late_events=1),
        replace(CLOSED, as_of="2026-03-15"),
    ],
)
def test_what_its_rows_are_made_of_changes_a_closed_experiment(changed: World) -> None:
    assert version(changed) != version(CLOSED)


@pytest.mark.parametrize("closed", [CLOSED, replace(CLOSED, trigger_event="panel.opened")])
def test_what_comes_after_its_last_window_leaves_a_closed_experiment(closed: World) -> None:
    assert version(replace(closed, later="z")) == version(closed)
    assert version(replace(closed, as_of="2026-04-01")) == version(closed)


@pytest.mark.parametrize(
    "open_world",
    [
        replace(CLOSED, ended_at=None),
        replace(CLOSED, as_of="2026-03-15 23:00:00"),
    ],
    ids=["without end", "window still open"],
)
def test_an_open_experiment_is_as_old_as_the_build(open_world: World) -> None:
    assert version(open_world) != version(replace(open_world, as_of="2026-03-15 22:00:00"))
    is_endless = open_world.ended_at is None
    assert (version(open_world) != version(replace(open_world, later="z"))) == is_endless
