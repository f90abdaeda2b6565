"""Rule 3 for preferences: a history of incremental builds gives the tables of one build from nothing.

The end-to-end test of the same name does so for every mart through dbt; here many more histories of
what preferences read are tried, and the intermediate models are compared as well.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from tests.dbt.preferences.preference_world import (
    DAY,
    FIRST_DAY,
    SCORES,
    START,
    PreferenceWorld,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKSUM = "update int_preference_partials_daily set checksum = checksum + 1"
USERS = 24
FIRST_BUILD = 18
# fewer than users, so that who is drawn matters
SAMPLED = 12
MODELS = (
    *SCORES,
    "int_preference_candidates",
    "int_preferences_inferred",
    "int_preferences_stated",
    "dim_user_preferences",
)
COMPARED = (
    "int_preference_evidence",
    "int_preference_priors",
    "int_preference_tastes",
    "int_preference_user_segments",
    "int_preference_segment_counts",
    "int_preference_user_groups",
    "int_preference_outcomes",
    "int_preference_posteriors",
    "int_preference_candidates",
    "int_preferences_inferred",
    "fct_preference_scores",
    "dim_user_preferences",
)


@dataclass
class History:
    """What was loaded so far, and how it changes."""

    rng: random.Random
    day: int = FIRST_BUILD
    half_life_days: float | None = None
    plan: str = "plan"
    signals: list[dict[str, Any]] = field(default_factory=list)
    controls: list[dict[str, Any]] = field(default_factory=list)
    withdrawals: dict[str, datetime] = field(default_factory=dict)
    excluded: set[str] = field(default_factory=set)

    def user(self) -> str:
        """Some user."""
        return f"u{self.rng.randrange(USERS)}"

    def add_signals(self, count: int = 6, *, loaded_day: int | None = None) -> None:
        """Signals of some users at any time, loaded today."""
        loaded_day = self.day if loaded_day is None else loaded_day
        for _ in range(count):
            number = self.rng.randrange(USERS)
            value = self.rng.randrange(2)
            seconds = self.rng.randrange(int(loaded_day * DAY))
            likes = 0.8 if number % 2 == value else 0.2
            self.signals.append(
                {
                    "event_id": f"e{len(self.signals)}",
                    "event_date": FIRST_DAY + timedelta(days=int(seconds // DAY)),
                    "loaded_date": FIRST_DAY + timedelta(days=loaded_day),
                    "occurred_at": START + timedelta(seconds=seconds),
                    "user_id": f"u{number}",
                    "signal_name": "signal",
                    "dimension": self.rng.choice(["taste", "taste", "tone"]),
                    "value": f"v{value}",
                    "outcome": float(self.rng.random() < likes),
                    "weight": 1.0,
                    "context": self.rng.choice(["all", "place=c0", "place=c1"]),
                }
            )

    def replace_content(self) -> None:
        """Another copy of a signal survives: nothing that is counted changes, only what it says."""
        signal = self.rng.choice(self.signals)
        signal["value"] = "v1" if signal["value"] == "v0" else "v0"

    def merge_users(self) -> None:
        """A late link: what one user did was another's doing."""
        one, other = self.user(), self.user()
        for signal in self.signals:
            if signal["user_id"] == one:
                signal["user_id"] = other

    def erase(self) -> None:
        """Everything of a user goes."""
        user = self.user()
        self.signals = [signal for signal in self.signals if signal["user_id"] != user]
        self.controls = [control for control in self.controls if control["user_id"] != user]

    def control(self) -> None:
        """A reset or a setting, of any time, loaded today."""
        at = START + timedelta(seconds=self.rng.randrange(int(self.day * DAY)))
        self.controls.append(
            {
                "event_id": f"c{len(self.controls)}",
                "user_id": self.user(),
                "dimension": self.rng.choice(["taste", "tone"]),
                "context": self.rng.choice(["all", "place=c0"]),
                "value": self.rng.choice(["v0", "v1"]),
                "occurred_at": at,
                "event_date": at.date(),
                "loaded_date": FIRST_DAY + timedelta(days=self.day),
                "is_reset": self.rng.random() < 0.5,
            }
        )

    def withdraw(self) -> None:
        """A user withdraws consent, today or earlier."""
        ago = self.rng.choice([0, 0, 5])
        self.withdrawals[self.user()] = START + timedelta(days=self.day - ago, hours=3)

    def grant(self) -> None:
        """Somebody's withdrawal never was."""
        if self.withdrawals:
            del self.withdrawals[self.rng.choice(sorted(self.withdrawals))]

    def exclude(self) -> None:
        """A user turns out to be a bot, or not."""
        self.excluded ^= {self.user()}

    def declare(self) -> None:
        """Another half-life, or another source of the declared segment."""
        if self.rng.random() < 0.5:
            self.half_life_days = self.rng.choice([None, 2.0, 30.0])
        else:
            self.plan = "colour" if self.plan == "plan" else "plan"

    def next_day(self) -> None:
        """The build's day begins."""
        self.day += 1

    def step(self) -> None:
        """A micro-batch: some changes, signals most of all."""
        changes: list[tuple[Callable[[], None], int]] = [
            (self.add_signals, 6),
            (self.control, 4),
            (self.withdraw, 2),
            (self.grant, 1),
            (self.erase, 1),
            (self.merge_users, 1),
            (self.replace_content, 1),
            (self.exclude, 1),
            (self.declare, 1),
            (self.next_day, 2),
        ]
        functions, weights = zip(*changes, strict=True)
        for change in self.rng.choices(functions, weights, k=self.rng.randrange(1, 4)):
            change()

    def put(self, world: PreferenceWorld) -> None:
        """Fill what preferences read with what is known now."""
        world.as_of = START + timedelta(days=self.day, hours=7)
        world.half_life_days = self.half_life_days
        world.put(pa.Table.from_pylist(self.signals), self.controls)
        connection = world.connection
        connection.execute(
            "insert into stg_declarations__preference_dimensions "
            "values ('tone', 'v0', null, 0.0); "
            "insert into stg_declarations__preference_values values ('tone', 'v0'), ('tone', 'v1');"
            "update int_declaration_versions set version = ? "
            "where declaration = 'preference_dimensions'",
            [str(self.half_life_days)],
        )
        connection.executemany(
            "update dim_users set is_excluded = true where user_id = ?",
            [[user] for user in sorted(self.excluded)] or [["nobody"]],
        )
        connection.execute(
            "insert into int_consents_effective "
            "select user_id, 'personalization', true, timestamp '2026-01-01', null from dim_users"
        )
        for user, at in self.withdrawals.items():
            connection.execute(
                "update int_consents_effective set valid_to = $at where user_id = $user; ",
                {"at": at, "user": user},
            )
            connection.execute(
                "insert into int_consents_effective "
                "select user_id, 'personalization', false, $at, null from dim_users "
                "where user_id = $user",
                {"at": at, "user": user},
            )
        connection.execute(
            "delete from int_users_personalizable where user_id in ("
            "select user_id from dim_users where is_excluded union "
            "select user_id from int_consents_effective where not is_granted)"
        )
        connection.execute(
            "insert into int_user_segment_days "
            "select user_id, date '2026-03-03', date '2026-03-12', true, 'plan', 'e' || user_id, "
            "map {'plan': if(user_id[2:]::integer % 2 = 0, 'a', 'b'), "
            "'colour': if(hash(user_id) % 2 = 0, 'red', 'blue')}[$plan] from dim_users",
            {"plan": self.plan},
        )


def differences(one: PreferenceWorld, other: PreferenceWorld) -> list[str]:
    """Say where the tables of two worlds differ; doubles may differ by 1e-9."""
    found = []
    for name in COMPARED:
        # keys come first in every model
        left, right = (world.query(f"select * from {name} order by all") for world in (one, other))
        pairs = zip(left, right, strict=False)
        if len(left) != len(right):
            found.append(f"{name}: {len(left)} rows against {len(right)}")
        elif unlike := [pair for pair in pairs if not all(map(same, *map(dict.values, pair)))]:
            found.append(f"{name}: {unlike[0][0]} against {unlike[0][1]}")
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


@pytest.mark.parametrize("case", range(5))
def test_a_history_of_batches_gives_what_one_build_gives(case: int) -> None:
    history = History(random.Random(case))
    history.add_signals(400, loaded_day=FIRST_BUILD - 1)
    incremental = PreferenceWorld(as_of=START)
    sizes = {"preference_quality_users": SAMPLED}
    history.put(incremental)
    incremental.build_incrementally(*MODELS, **sizes)
    for step in range(6):
        history.step()
        history.put(incremental)
        incremental.build_incrementally(*MODELS, **sizes)
        full = PreferenceWorld(as_of=START, connection=duckdb.connect())
        history.put(full)
        full.build(*MODELS, **sizes)
        found = differences(incremental, full)
        assert not found, f"case {case}, step {step}: {found}"


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ("update int_preference_half_lives set is_half_life_used = true", "everybody"),
        ("update dim_users set is_excluded = true where user_id = 'u3'", "u3"),
        (
            f"{CHECKSUM} where user_id = 'u3' and loaded_date < date '2026-03-20'",
            "everybody",
        ),
        (
            f"{CHECKSUM} where user_id = 'u3' and loaded_date = date '2026-03-20'",
            "u3",
        ),
        ("update int_as_of set as_of = as_of + interval 1 hour", "nobody"),
        ("update int_as_of set as_of = as_of + interval 1 day", "everybody"),
    ],
)
def test_versions_follow_what_scoring_reads(change: str, touched: str) -> None:
    history = History(random.Random(1))
    history.add_signals(300, loaded_day=FIRST_BUILD - 1)
    history.add_signals(50)
    world = PreferenceWorld(as_of=START)
    history.put(world)
    # nobody is drawn for the cuts in the past, whose versions would hide that of today's
    world.build(*SCORES, preference_quality_users=0)
    query = "select user_id, version from int_preference_user_versions order by user_id"
    before = world.query(query)
    world.connection.execute(change)
    world.build(
        "int_preference_cuts",
        "int_preference_users",
        "int_preference_cut_versions",
        "int_preference_user_versions",
        preference_quality_users=0,
    )
    changed = {
        row["user_id"]
        for row, other in zip(before, world.query(query), strict=True)
        if row != other
    }
    users = {row["user_id"] for row in before}
    assert changed == {"everybody": users, "nobody": set()}.get(touched, {touched})


@pytest.mark.parametrize(
    "said_today",
    [
        (
            "insert into int_preference_controls by name select 'r' as event_id, '{user}' as user_id, "
            "'taste' as dimension, 'all' as context, timestamp '2026-03-20 03:00:00' as occurred_at, "
            "date '2026-03-20' as event_date, date '2026-03-20' as loaded_date, true as is_reset"
        ),
        "delete from int_users_personalizable where user_id = '{user}'",
        (
            "insert into dim_users values ('newcomer', false); "
            "insert into int_users_personalizable values ('newcomer'); "
            "insert into int_preference_partials_daily select * replace ("
            "'newcomer' as user_id, date '2026-03-20' as event_date, date '2026-03-20' as loaded_date) "
            "from int_preference_partials_daily where user_id != '{user}' limit 3"
        ),
    ],
    ids=["reset", "withdrawal", "new user"],
)
def test_what_is_said_today_changes_nobody_else_before_tomorrow(said_today: str) -> None:
    history = History(random.Random(2), half_life_days=2.0)
    history.add_signals(400, loaded_day=FIRST_BUILD - 1)
    world = PreferenceWorld(as_of=START)
    history.put(world)
    world.build(*SCORES, preference_quality_users=SAMPLED)
    (judged,) = world.query(
        "select min(user_id) as user_id from int_preference_outcomes where cut = 'half_life'"
    )
    user = judged["user_id"]
    scores = "select * from fct_preference_scores where user_id {} ('{}', 'newcomer') order by all"
    of_others, of_them = scores.format("not in", user), scores.format("in", user)
    half_lives = "select * from int_preference_half_lives order by all"
    others, them, gains = (world.query(each) for each in (of_others, of_them, half_lives))
    world.connection.execute(said_today.format(user=user))
    world.build(*SCORES[1:], preference_quality_users=SAMPLED)
    assert others
    assert world.query(of_others) == others
    assert world.query(half_lives) == gains
    assert world.query(of_them) != them
