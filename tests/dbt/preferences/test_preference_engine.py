"""Scores against independent implementations and against the worlds that they were drawn from."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from tests.dbt.experiments.model_sql import project_variables
from tests.dbt.preferences.preference_world import (
    DAY,
    FIRST_DAY,
    SCORES,
    START,
    Signals,
    world_after,
)


def kleinman(successes: np.ndarray[Any, Any], trials: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Mean and strength by weighted moments, from rates and weights as Kleinman (1973) has them."""
    weights = trials / trials.sum()
    rates = successes / trials
    mean = float((weights * rates).sum())
    spread = float((weights * (rates - mean) ** 2).sum())
    noise = mean * (1 - mean)
    by_chance = noise * float((weights * (1 - weights) / trials).sum())
    correlation = (spread - by_chance) / (
        noise * float((weights * (1 - weights)).sum()) - by_chance
    )
    return mean, (1 - correlation) / correlation


def beta_binomial_signals(
    rng: np.random.Generator, users: int, mean: float, strength: float, days: int
) -> tuple[Signals, np.ndarray[Any, Any]]:
    """Signals about one value of users whose rates are Beta, and those rates."""
    rates = rng.beta(mean * strength, (1 - mean) * strength, users)
    counts = rng.integers(1, 30, users)
    user = np.repeat(np.arange(users), counts)
    outcome = (rng.random(len(user)) < rates[user]).astype(float)
    seconds = rng.random(len(user)) * days * DAY
    return Signals(user, np.zeros(len(user), dtype=int), seconds, outcome), rates


def test_priors_are_weighted_moments_and_intervals_are_beta_quantiles() -> None:
    rng = np.random.default_rng(5)
    signals, _ = beta_binomial_signals(rng, users=300, mean=0.3, strength=6.0, days=10)
    world = world_after(20)
    world.put(signals.table())
    world.build(*SCORES)
    successes = np.bincount(signals.user, weights=signals.outcome)
    trials = np.bincount(signals.user).astype(float)
    mean, strength = kleinman(successes, trials)
    (prior,) = world.query("select * from int_preference_priors where cut = 'now'")
    assert prior["prior_mean"] == pytest.approx(mean, rel=1e-9)
    assert prior["prior_strength"] == pytest.approx(strength, rel=1e-9)
    assert prior["prior_kind"] == "moments"
    for row in world.query("select * from fct_preference_scores"):
        user = int(row["user_id"][1:])
        alpha = successes[user] + mean * strength
        beta = trials[user] - successes[user] + (1 - mean) * strength
        assert row["score"] == pytest.approx(alpha / (alpha + beta), rel=1e-9)
        ends = stats.beta.ppf([0.05, 0.95], alpha, beta)
        assert row["score_lower"] == pytest.approx(ends[0], abs=1e-4)
        assert row["score_upper"] == pytest.approx(ends[1], abs=1e-4)


def test_planted_strength_is_recovered_and_intervals_cover() -> None:
    rng = np.random.default_rng(11)
    signals, rates = beta_binomial_signals(rng, users=4000, mean=0.4, strength=8.0, days=10)
    world = world_after(20)
    world.put(signals.table())
    world.build(*SCORES)
    (prior,) = world.query("select * from int_preference_priors where cut = 'now'")
    assert prior["prior_strength"] == pytest.approx(8.0, rel=0.1)
    scores = world.query("select * from fct_preference_scores")
    held = sum(
        row["score_lower"] <= rates[int(row["user_id"][1:])] <= row["score_upper"] for row in scores
    )
    # 90% of 4,000, four standard errors either way
    assert held / len(scores) == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / len(scores)))


def test_no_variance_between_users_gives_the_declared_cap_and_says_so() -> None:
    users = np.repeat(np.arange(50), 4)
    outcome = np.tile([1.0, 0.0, 1.0, 0.0], 50)
    world = world_after(20)
    world.put(Signals(users, np.zeros(200, dtype=int), np.linspace(0, DAY, 200), outcome).table())
    world.build(*SCORES)
    rows = world.query("select distinct prior_strength, prior_kind from fct_preference_scores")
    cap = project_variables()["prior_strength_cap"]
    assert rows == [{"prior_strength": cap, "prior_kind": "no_between_user_variance"}]


@pytest.mark.parametrize("half_life", [0.01, 0.7, 3.0, 400.0])
def test_decayed_state_does_not_depend_on_split_or_order(half_life: float) -> None:
    """Partials of random splits, in random order, add up to what signals say one by one."""
    rng = np.random.default_rng(3)
    count = 1500
    signals = Signals(
        user=rng.integers(0, 6, count),
        value=rng.integers(0, 2, count),
        seconds=rng.integers(0, int(40 * DAY), count).astype(float),
        outcome=rng.random(count).round(3),
        loaded_day=rng.integers(41, 45, count),
    )
    world = world_after(45, half_life_days=half_life)
    table = signals.table()
    world.put(table)
    world.build("int_preference_partials_daily")
    whole = world.query("select * from int_preference_partials_daily order by all")

    order = rng.permutation(count)
    cuts = [0, *sorted(rng.choice(np.arange(1, count), 7, replace=False)), count]
    world.connection.execute("create table merged as from int_preference_partials_daily limit 0")
    for start, end in pairwise(cuts):
        world.put(table.take(pa.array(order[start:end])))
        world.build("int_preference_partials_daily")
        world.connection.execute("insert into merged from int_preference_partials_daily")
    keys = "user_id, dimension, context, value, event_date, loaded_date, is_reset"
    sums = ", ".join(
        f"sum({name})::double as {name}"
        for name in ("trials", "successes", "decayed_trials", "decayed_successes")
    )
    merged = world.query(f"select {keys}, {sums} from merged group by all order by all")
    assert len(merged) == len(whole)
    for left, right in zip(merged, whole, strict=True):
        for name in set(left) & {"trials", "successes", "decayed_trials", "decayed_successes"}:
            assert right[name] == pytest.approx(left[name], rel=1e-12, abs=1e-17), name

    world.put(table)
    world.build(*SCORES[: SCORES.index("int_preference_evidence") + 1])
    at = 45 * DAY
    weights = 0.5 ** ((at - signals.seconds) / DAY / half_life)
    for row in world.query("select * from int_preference_evidence where cut = 'now'"):
        mine = (signals.user == int(row["user_id"][1:])) & (signals.value == int(row["value"][1:]))
        trials = math.fsum(weights[mine])
        successes = math.fsum((weights * signals.outcome)[mine])
        assert row["decayed_trials"] == pytest.approx(trials, rel=1e-12, abs=1e-15)
        assert row["decayed_successes"] == pytest.approx(successes, rel=1e-12, abs=1e-15)


def test_within_a_day_only_touched_users_change_and_a_new_day_rescores_everyone() -> None:
    rng = np.random.default_rng(7)
    signals, _ = beta_binomial_signals(rng, users=80, mean=0.4, strength=5.0, days=10)
    more = Signals(
        user=np.array([3, 3, 17]),
        value=np.zeros(3, dtype=int),
        seconds=np.full(3, 12.2 * DAY),
        outcome=np.array([1.0, 1.0, 0.0]),
        loaded_day=np.full(3, 12),
    )
    table = signals.table()
    new = more.table().set_column(0, "event_id", pa.array(["n0", "n1", "n2"]))

    def scores(as_of_day: int, *tables: pa.Table) -> dict[str, tuple[float, ...]]:
        world = world_after(as_of_day)
        reset = {
            "user_id": "u5",
            "dimension": "taste",
            "context": "all",
            "occurred_at": START + timedelta(days=12, hours=1),
            "event_date": FIRST_DAY + timedelta(days=12),
            "loaded_date": FIRST_DAY + timedelta(days=12),
            "is_reset": True,
        }
        world.put(pa.concat_tables(tables), [reset] if len(tables) > 1 else [])
        world.build(*SCORES)
        return {
            row["user_id"]: (row["score"], row["score_lower"], row["score_upper"])
            for row in world.query("select * from fct_preference_scores")
        }

    before = scores(12, table)
    after = scores(12, table, new)
    assert {user for user in before if before[user] != after.get(user)} == {"u3", "u17", "u5"}
    assert "u5" not in after, "a reset counts at once"
    tomorrow = scores(13, table, new)
    assert all(before[user] != tomorrow[user] for user in tomorrow)


def test_cold_users_get_exactly_the_prior_of_the_segment_that_differs() -> None:
    rng = np.random.default_rng(13)
    users = 400
    counts = rng.integers(4, 20, users)
    user = np.repeat(np.arange(users), counts)
    value = rng.integers(0, 2, len(user))
    # even users, on plan a, like v0; odd ones, on plan b, like v1; colour says nothing
    share = np.where(value == user % 2, 0.7, 0.3)
    outcome = (rng.random(len(user)) < share).astype(float)
    signals = Signals(user, value, rng.random(len(user)) * 10 * DAY, outcome)
    world = world_after(20)
    world.put(signals.table())
    connection = world.connection
    # users 400 and 401 did nothing yet
    connection.execute(
        "insert into int_users_personalizable values ('u400'), ('u401'); "
        "insert into dim_users values ('u400', false), ('u401', false); "
        "insert into int_user_segment_days "
        "select 'u' || n, date '2026-03-03', date '2026-03-12', true, unnest(['plan', 'colour']), "
        "'e' || n, unnest([if(n % 2 = 0, 'a', 'b'), if(hash(n) % 2 = 0, 'red', 'blue')]) "
        "from range(402) as numbers (n)"
    )
    world.build(*SCORES, "int_preference_candidates", "int_preferences_inferred")
    groups = world.query(
        "select distinct segment_name, segment_value, value, segment_mean "
        "from int_preference_segment_priors where cut = 'now'"
    )
    assert {row["segment_name"] for row in groups} == {"plan"}
    rates = {(row["segment_value"], row["value"]): row["segment_mean"] for row in groups}
    assert rates["a", "v0"] == pytest.approx(0.7, abs=0.03)
    assert rates["b", "v0"] == pytest.approx(0.3, abs=0.03)
    cold = world.query(
        "select * from int_preferences_inferred where user_id in ('u400', 'u401') order by user_id"
    )
    assert [(row["value"], row["segment"]) for row in cold] == [
        ("v0", "plan=a"),
        ("v1", "plan=b"),
    ]
    for row, key in zip(cold, [("a", "v0"), ("b", "v1")], strict=True):
        assert row["score"] == rates[key]
        assert row["evidence_count"] == 0
    for row in world.query("select * from fct_preference_scores"):
        assert row["prior_mean"] == rates[row["segment_value"], row["value"]]
