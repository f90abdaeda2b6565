"""Linear contextual statistics beside numpy, and what they recover of additive rewards."""

from __future__ import annotations

import itertools
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.dbt.experiments.model_sql import build, fill, rows

PARTS = (("red", "green", "blue"), ("low", "high"), ("x", "y", "z"))
CONTEXTS = [",".join(values) for values in itertools.product(*PARTS)]
ACTIONS = ("a", "b")
STRENGTH = 20.0
CELLS = {
    "decision_point": "varchar",
    "context": "varchar",
    "position": "bigint",
    "action": "varchar",
    "decisions": "bigint",
    "reward_sum": "double",
    "reward_square_sum": "double",
    "minimum_reward": "double",
    "maximum_reward": "double",
}
POINTS = {
    "decision_point": "varchar",
    "reward_prior_strength": "double",
    "context_attribute": "varchar",
    "arm_model": "varchar",
}
MODELS = (
    "fct_policy_arms",
    "int_policy_context_features",
    "int_policy_linear_moments",
    "int_policy_linear_systems",
    "int_policy_linear_posteriors",
    "int_policy_beliefs",
)


def rate(context: str, action: str) -> float:
    """The planted reward rate: effects of the three attributes add up."""
    color, level, letter = context.split(",")
    effects = {"red": -0.15, "green": 0.0, "blue": 0.15, "low": -0.1, "high": 0.1}
    effects |= {"x": -0.1, "y": 0.0, "z": 0.1}
    total = effects[color] + effects[level] + effects[letter]
    return 0.5 + (total if action == "a" else -total)


def cells(decisions: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    found = []
    for context, action in itertools.product(CONTEXTS, ACTIONS):
        n = int(rng.poisson(decisions))
        k = int(rng.binomial(n, rate(context, action)))
        if n:
            found.append(
                {
                    "decision_point": "point",
                    "context": context,
                    "position": 0,
                    "action": action,
                    "decisions": n,
                    "reward_sum": k,
                    "reward_square_sum": k,
                    "minimum_reward": 0,
                    "maximum_reward": 1,
                }
            )
    return found


def put(
    connection: duckdb.DuckDBPyConnection,
    given: list[dict[str, Any]],
    arm_model: str = "linear",
    strength: float = STRENGTH,
) -> None:
    fill(connection, "int_decision_cells", CELLS, given)
    fill(
        connection,
        "stg_declarations__decision_points",
        POINTS,
        [
            {
                "decision_point": "point",
                "reward_prior_strength": strength,
                "context_attribute": "color; level;letter",
                "arm_model": arm_model,
            }
        ],
    )
    fill(
        connection,
        "stg_declarations__target_policies",
        {"decision_point": "varchar", "action": "varchar"},
        [],
    )
    build(connection, *MODELS)


def features(context: str) -> list[str]:
    names = zip(("color", "level", "letter"), context.split(","), strict=True)
    return ["intercept", *(f"{name}={value}" for name, value in names)]


def by_numpy(
    given: list[dict[str, Any]],
) -> tuple[list[str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Names of the features, and A and b of each action."""
    names = sorted({name for cell in given for name in features(cell["context"])})
    sums = {a: (np.zeros((len(names), len(names))), np.zeros(len(names))) for a in ACTIONS}
    for cell in given:
        x = np.isin(names, features(cell["context"])).astype(float)
        gram, moment = sums[cell["action"]]
        gram += cell["decisions"] * np.outer(x, x)
        moment += cell["reward_sum"] * x
    return names, sums


def moments(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str, str], float]:
    found = rows(connection, "select * from int_policy_linear_moments")
    return {(row["action"], row["feature"], row["other_feature"]): row["value"] for row in found}


def test_sums_and_solution_are_those_of_numpy() -> None:
    given = cells(4)
    names, sums = by_numpy(given)
    overall = sum(cell["reward_sum"] for cell in given) / sum(cell["decisions"] for cell in given)
    with duckdb.connect() as connection:
        put(connection, given)
        found = moments(connection)
        posteriors = rows(connection, "select * from int_policy_linear_posteriors")
        beliefs = {
            (row["context"], row["action"]): row
            for row in rows(connection, "select * from int_policy_beliefs")
        }
    for action, (gram, moment) in sums.items():
        for i, name in enumerate(names):
            assert found[action, name, "reward"] == pytest.approx(moment[i], rel=1e-9)
            for j, other in enumerate(names):
                assert found.get((action, name, other), 0.0) == pytest.approx(gram[i, j], rel=1e-9)
    assert len(posteriors) == len(CONTEXTS) * len(ACTIONS)
    for row in posteriors:
        gram, moment = sums[row["action"]]
        x = np.isin(names, features(row["context"])).astype(float)
        inverse = np.linalg.inv(gram + STRENGTH * x.sum() * np.eye(len(names)))
        theta = inverse @ (moment - overall * gram[names.index("intercept")])
        assert row["posterior_mean"] == pytest.approx(overall + x @ theta, rel=1e-9)
        assert row["variance_factor"] == pytest.approx(x @ inverse @ x, rel=1e-9)
        belief = beliefs[row["context"], row["action"]]
        assert belief["alpha"] * row["variance_factor"] == pytest.approx(row["posterior_mean"])
        assert (belief["alpha"] + belief["beta"]) * row["variance_factor"] == pytest.approx(1.0)


def test_two_days_add_up_to_one_pass() -> None:
    days = [cells(4, seed=seed) for seed in (1, 2)]
    totals: dict[tuple[str, str, str], float] = {}
    with duckdb.connect() as connection:
        for day in days:
            put(connection, day)
            for key, value in moments(connection).items():
                totals[key] = totals.get(key, 0.0) + value
        put(connection, [*days[0], *(cell | {"position": 1} for cell in days[1])])
        assert moments(connection) == totals


def test_rewards_that_add_up_are_recovered_better_than_by_cells() -> None:
    errors: dict[str, float] = {}
    for arm_model in ("cells", "linear"):
        with duckdb.connect() as connection:
            put(connection, cells(8), arm_model, strength=4.0)
            beliefs = rows(connection, "select * from int_policy_beliefs where context != 'all'")
        assert len(beliefs) == len(CONTEXTS) * len(ACTIONS)
        misses = [
            row["alpha"] / (row["alpha"] + row["beta"]) - rate(row["context"], row["action"])
            for row in beliefs
        ]
        errors[arm_model] = float(np.mean(np.square(misses)))
    assert errors["linear"] < 0.6 * errors["cells"]


def test_an_action_that_nobody_took_in_any_context_is_as_unsure_as_a_cell() -> None:
    """Its linear posterior is the prior, and the prior is that of a cell."""
    given = [
        cell for cell in cells(8) if cell["context"].startswith("red") or cell["action"] == "a"
    ]
    with duckdb.connect() as connection:
        put(
            connection,
            [
                cell | {"decisions": 0, "reward_sum": 0} if cell["action"] == "b" else cell
                for cell in given
            ],
        )
        beliefs = rows(
            connection, "select * from int_policy_beliefs where action = 'b' and context != 'all'"
        )
    for row in beliefs:
        assert row["alpha"] + row["beta"] == pytest.approx(STRENGTH)


def test_beliefs_stay_between_0_and_1() -> None:
    given = [
        cell | {"reward_sum": cell["decisions"] if cell["action"] == "a" else 0}
        for cell in cells(400)
    ]
    with duckdb.connect() as connection:
        put(connection, given)
        beliefs = rows(connection, "select * from int_policy_beliefs")
    assert all(row["alpha"] > 0 and row["beta"] > 0 for row in beliefs)
