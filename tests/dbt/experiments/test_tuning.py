"""The sample that always-valid intervals are tuned to, from what was known before the start."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest

from tests.dbt.experiments.model_sql import Row, build, fill, rows

# UTC without zone, as in the warehouse; not at midnight, days before are whole ones
STARTED_AT = datetime.fromisoformat("2026-03-20 15:00:00")
TEXT = "varchar"
# (days before the start, user, organization, event)
EVENTS = [
    (0, "today", "o9", "panel.opened"),
    (1, "u1", "o1", "panel.opened"),
    (1, "u1", "o1", "message.sent"),
    (2, "u2", "o1", "message.sent"),
    (2, "bot", "o3", "panel.opened"),
    (3, "u3", None, "panel.opened"),
    (10, "u4", "o2", "message.sent"),
    (28, "u5", "o4", "message.sent"),
    (29, "u6", "o5", "panel.opened"),
    (5, None, "o1", "panel.opened"),
]


def tune(**experiment: object) -> dict[str, Row]:
    """Treatment -> its sample, of an experiment without end on users, with shares 2, 1 and 1."""
    with duckdb.connect() as connection:
        fill(
            connection,
            "stg_declarations__experiments",
            dict.fromkeys(("experiment_name", "unit", "control_variant", "trigger_event"), TEXT)
            | {"started_at": "timestamp", "ended_at": "timestamp", "planned_units": "bigint"},
            [
                {"experiment_name": "e", "unit": "user", "control_variant": "c"}
                | {"started_at": STARTED_AT}
                | experiment
            ],
        )
        fill(
            connection,
            "stg_declarations__experiment_variants",
            {"experiment_name": TEXT, "variant": TEXT, "allocation": "double"},
            [
                {"experiment_name": "e", "variant": variant, "allocation": allocation}
                for variant, allocation in (("c", 2.0), ("t", 1.0), ("u", 1.0))
            ],
        )
        fill(
            connection,
            "fct_events",
            dict.fromkeys(("event_name", "unit_id", "session_id", "organization_id"), TEXT)
            | {"occurred_at": "timestamp", "event_date": "date"},
            [
                {"event_name": name, "unit_id": user, "organization_id": organization}
                # a session per event and day
                | {"session_id": f"{days} {user}", "occurred_at": at, "event_date": at.date()}
                for days, user, organization, name in EVENTS
                for at in [STARTED_AT - timedelta(days=days)]
            ],
        )
        fill(connection, "int_units_excluded", {"unit_id": TEXT}, [{"unit_id": "bot"}])
        build(connection, "int_experiment_active_days", "int_experiment_tuning")
        return {
            row["treatment_variant"]: row for row in rows(connection, "from int_experiment_tuning")
        }


@pytest.mark.parametrize(
    ("experiment", "units"),
    [
        # u1 to u5: not who came on the day of the start or 29 days before, and no bot
        ({}, 5),
        ({"ended_at": STARTED_AT + timedelta(days=9)}, 3),
        ({"ended_at": STARTED_AT + timedelta(days=10)}, 4),
        # o1 once, with two users and an event of nobody; not the bot's o3, nor o5
        ({"unit": "organization"}, 3),
        ({"unit": "session"}, 6),
        ({"trigger_event": "panel.opened"}, 2),
        ({"trigger_event": "panel.opened", "unit": "organization"}, 1),
        ({"trigger_event": "message.sent", "ended_at": STARTED_AT + timedelta(days=2)}, 2),
    ],
)
def test_history_counts_what_the_experiment_will_count(
    experiment: dict[str, object], units: int
) -> None:
    tuned = tune(**experiment)
    assert {row["tuning_source"] for row in tuned.values()} == {"history"}
    # of all units those of the two arms: three quarters
    assert [tuned[name]["tuning_units"] for name in ("t", "u")] == [units * 0.75] * 2


def test_what_is_planned_goes_before_history() -> None:
    tuned = tune(planned_units=1000)
    assert set(tuned) == {"t", "u"}
    for row in tuned.values():
        assert (row["tuning_source"], row["tuning_units"]) == ("planned_units", 750.0)


@pytest.mark.parametrize(
    "experiment",
    [
        {"trigger_event": "never.seen"},
        {"started_at": STARTED_AT - timedelta(days=300)},
        {"started_at": None},
    ],
    ids=["no trigger before", "no activity before", "no start"],
)
def test_without_history_nothing_is_tuned(experiment: dict[str, object]) -> None:
    for row in tune(**experiment, planned_units=0).values():
        assert (row["tuning_source"], row["tuning_units"]) == (None, None)
