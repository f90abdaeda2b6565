"""The quality report on worlds with planted preferences, and on the same worlds shuffled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.dbt.preferences.preference_world import (
    DAY,
    QUALITY,
    SCORES,
    START,
    PreferenceWorld,
    Signals,
    world_after,
)

USERS, DAYS = 400, 28


def planted(seed: int, *, drifting: bool = False) -> Signals:
    """Users like one of two values; where they drift, most change their minds after some days."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(USERS), rng.integers(10, 50, USERS))
    seconds = rng.random(len(user)) * DAYS * DAY
    liked = rng.integers(0, 2, USERS)[user]
    if drifting:
        changed_at = rng.random(USERS) * DAYS * DAY
        liked = np.where(seconds > changed_at[user], 1 - liked, liked)
    value = rng.integers(0, 2, len(user))
    outcome = (rng.random(len(user)) < np.where(value == liked, 0.75, 0.35)).astype(float)
    return Signals(user, value, seconds, outcome)


def shuffled_users(signals: Signals, seed: int) -> Signals:
    """The same signals, each of somebody else."""
    return replace(signals, user=np.random.default_rng(seed).permutation(signals.user))


def shuffled_time(signals: Signals, seed: int) -> Signals:
    """The same signals of the same users, each at the time of another one of that user."""
    rng = np.random.default_rng(seed)
    seconds = signals.seconds.copy()
    for user in range(USERS):
        mine = np.flatnonzero(signals.user == user)
        seconds[mine] = rng.permutation(seconds[mine])
    return replace(signals, seconds=seconds)


def quality_of(signals: Signals, half_life_days: float | None = None) -> PreferenceWorld:
    world = world_after(DAYS + 3, half_life_days=half_life_days)
    world.put(signals.table())
    world.build(*SCORES, *QUALITY)
    return world


def row_of(world: PreferenceWorld, metric: str, baseline: str) -> dict[str, Any]:
    (row,) = world.query(
        "select * from rpt_preference_quality "
        "where metric = ? and baseline = ? and user_group = 'all'",
        metric,
        baseline,
    )
    return row


@pytest.fixture(scope="module")
def world() -> PreferenceWorld:
    return quality_of(planted(1))


@pytest.mark.parametrize("metric", ["log_loss", "hit_rate", "ndcg"])
@pytest.mark.parametrize("baseline", ["popularity", "last_choice"])
def test_planted_preferences_beat_simpler_rules(
    world: PreferenceWorld, metric: str, baseline: str
) -> None:
    row = row_of(world, metric, baseline)
    assert row["status"] == "pass"
    assert row["is_significant"]
    assert row["gain_ci_lower"] > 0


def test_log_loss_is_what_another_program_computes(world: PreferenceWorld) -> None:
    predictions = world.query("select * from int_preference_predictions")
    trials = sum(row["trials"] for row in predictions)
    loss = -sum(
        row["successes"] * np.log(row["served_score"])
        + (row["trials"] - row["successes"]) * np.log(1 - row["served_score"])
        for row in predictions
    )
    cut = START + timedelta(days=DAYS - 7)
    (after,) = world.query(
        "select count(*) as n from int_preference_signals where occurred_at >= ?", cut
    )
    assert trials == after["n"]
    assert row_of(world, "log_loss", "popularity")["value"] == pytest.approx(loss / trials, 1e-9)


def test_intervals_cover_and_places_are_those_of_scipy(world: PreferenceWorld) -> None:
    row = row_of(world, "coverage", "nominal")
    assert row["status"] == "pass"
    assert row["is_gate"]
    assert 0.86 < row["value"] < 0.94
    rows = world.query(
        "select * from int_preference_coverage "
        "inner join int_preference_predictions using (user_id, dimension, context, value)"
    )
    assert len(rows) > 500
    for each in rows:
        n, k = each["signal_count"], each["favourable_count"]
        below, upto = stats.betabinom.cdf([k - 1, k], n, each["alpha"], each["beta"])
        assert below - 1e-9 <= each["place"] <= upto + 1e-9


def test_shuffled_users_lose_the_gain() -> None:
    shuffled = quality_of(shuffled_users(planted(1), 2))
    for metric in ("log_loss", "hit_rate", "ndcg"):
        assert not row_of(shuffled, metric, "popularity")["is_significant"], metric
    prequential = shuffled.query(
        "select is_significant from rpt_preference_quality where model = 'user'"
    )
    assert prequential == [{"is_significant": False}]


def test_shuffled_time_loses_the_gain_of_the_half_life() -> None:
    drifting = planted(3, drifting=True)
    used = "select is_half_life_used from int_preference_half_lives"
    decayed = quality_of(drifting, half_life_days=5.0)
    assert decayed.query(used) == [{"is_half_life_used": True}]
    assert row_of(decayed, "log_loss", "no_half_life")["gain_ci_lower"] > 0
    shuffled = quality_of(shuffled_time(drifting, 4), half_life_days=5.0)
    assert shuffled.query(used) == [{"is_half_life_used": False}]
    counts = "select max(abs(trials - raw_trials)) as decay from int_preference_posteriors"
    assert shuffled.query(counts) == [{"decay": 0.0}], "what is not beaten is not used"


def test_worse_than_popularity_fails_and_too_few_users_do_not_pass(world: PreferenceWorld) -> None:
    connection = world.connection
    connection.execute("create table kept as from int_preference_comparisons")
    connection.execute("update int_preference_comparisons set gain = -gain")
    world.build("rpt_preference_quality")
    for metric in ("log_loss", "hit_rate", "ndcg"):
        assert row_of(world, metric, "popularity")["status"] == "fail", metric
    # intervals that hold too much: every outcome covered
    connection.execute(
        "update int_preference_comparisons set gain = weight * 0.1 where metric = 'coverage'"
    )
    world.build("rpt_preference_quality")
    assert row_of(world, "coverage", "nominal")["status"] == "fail"
    world.build("rpt_preference_quality", preference_quality_minimum_users=USERS + 1)
    statuses = world.query("select distinct status from rpt_preference_quality")
    assert statuses == [{"status": "not_applicable"}]
    connection.execute("create or replace table int_preference_comparisons as from kept")
    world.build("rpt_preference_quality")
