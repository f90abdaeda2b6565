"""Which days' counts are made anew when something changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import duckdb
import pytest

from tests.dbt.experiments.model_sql import build, fill, rows

DAYS = tuple(date(2026, 3, day) for day in range(2, 8))


@dataclass(frozen=True, slots=True)
class World:
    """An experiment of six days, two units of it, and what is known of its days."""

    started_on: date | None = DAYS[0]
    second_came_on: date = DAYS[3]
    second_variant: str = "control"
    second_role: str = "analysed"
    changed_on: date | None = None
    late_on: date | None = None
    excluded: str = "bot"


def versions(world: World) -> dict[date, str]:
    with duckdb.connect() as connection:
        fill(
            connection,
            "stg_declarations__experiments",
            {"experiment_name": "varchar", "started_at": "timestamp"},
            [{"experiment_name": "e", "started_at": world.started_on}],
        )
        fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": f"{DAYS[-1]} 23:00:00"}])
        fill(
            connection,
            "int_event_date_versions",
            {"event_date": "date", "version": "varchar"},
            [
                {"event_date": day, "version": "b" if day == world.changed_on else "a"}
                for day in (date(2026, 2, 1), *DAYS[:-1])
            ],
        )
        texts = ("experiment_name", "unit_id", "variant", "role")
        fill(
            connection,
            "int_experiment_units",
            dict.fromkeys(texts, "varchar")
            | dict.fromkeys(("first_exposed_at", "analysed_from"), "timestamp"),
            [
                dict(zip(texts, ("e", unit_id, variant, role), strict=True))
                | dict.fromkeys(("first_exposed_at", "analysed_from"), f"{came_on} 09:00:00")
                for unit_id, variant, role, came_on in (
                    ("u1", "control", "analysed", DAYS[0]),
                    ("u2", world.second_variant, world.second_role, world.second_came_on),
                )
            ],
        )
        fill(
            connection, "int_units_excluded", {"unit_id": "varchar"}, [{"unit_id": world.excluded}]
        )
        fill(
            connection,
            "int_batch_dates_late",
            {"batch_id": "varchar", "event_date": "date"},
            [] if world.late_on is None else [{"batch_id": "l", "event_date": world.late_on}],
        )
        build(connection, "int_activity_date_versions")
        found = rows(connection, "select * from int_activity_date_versions")
    return {row["event_date"]: row["version"] for row in found}


def changed_days(world: World) -> set[date]:
    before, after = versions(World()), versions(world)
    assert before.keys() == after.keys()
    return {day for day in before if before[day] != after[day]}


def test_every_day_with_events_or_since_the_start_has_a_version() -> None:
    first = date(2026, 2, 1)
    assert versions(World()).keys() == {first, *DAYS}
    # what has no start has always run
    days = {first + timedelta(days=day) for day in range((DAYS[-1] - first).days + 1)}
    assert versions(World(started_on=None)).keys() == days


def test_what_changes_on_a_day_touches_that_day() -> None:
    assert changed_days(World(changed_on=DAYS[1])) == {DAYS[1]}
    assert changed_days(World(late_on=DAYS[1])) == {DAYS[1]}


@pytest.mark.parametrize(
    ("world", "first"),
    [
        (World(second_variant="treatment"), DAYS[3]),
        (World(second_role="several_variants"), DAYS[3]),
        (World(second_came_on=DAYS[4]), DAYS[3]),
        (World(second_came_on=DAYS[1]), DAYS[1]),
    ],
    ids=["another variant", "left out", "later", "earlier"],
)
def test_a_unit_touches_the_days_from_its_first_on(world: World, first: date) -> None:
    assert changed_days(world) == {day for day in DAYS if day >= first}


def test_a_unit_that_is_left_out_for_good_touches_nothing() -> None:
    left_out = World(second_role="several_variants")
    assert versions(left_out) == versions(replace(left_out, second_variant="treatment"))


def test_whoever_is_excluded_touches_everything() -> None:
    assert changed_days(World(excluded="u2")) == {date(2026, 2, 1), *DAYS}
