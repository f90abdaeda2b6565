"""Thompson probabilities beside numerical integration by another library."""

from __future__ import annotations

import itertools
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy import integrate, stats

from tests.dbt.experiments.model_sql import build, fill, rows

VARIABLES = {"minimum_exploration": 0.001}
BELIEFS = {
    "decision_point": "varchar",
    "context": "varchar",
    "action": "varchar",
    "decisions": "bigint",
    "alpha": "double",
    "beta": "double",
}


def probabilities(
    arms: list[tuple[float | None, float | None]], floor: float = 0.0
) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        fill(
            connection,
            "int_policy_beliefs",
            BELIEFS,
            [
                {
                    "decision_point": "point",
                    "context": "all",
                    "action": f"{number:03d}",
                    "decisions": 1,
                    "alpha": alpha,
                    "beta": beta,
                }
                for number, (alpha, beta) in enumerate(arms)
            ],
        )
        fill(
            connection,
            "stg_declarations__decision_points",
            {"decision_point": "varchar", "exploration_floor": "double"},
            [{"decision_point": "point", "exploration_floor": floor}],
        )
        build(connection, "int_policy_chances", "fct_action_probabilities", variables=VARIABLES)
        return rows(connection, "select * from fct_action_probabilities order by action")


def integrated(arms: list[tuple[float, float]]) -> list[float]:
    """Each arm's chance to be the best, by quadrature of its density times the others' cdfs."""
    chances = []
    for number, (alpha, beta) in enumerate(arms):
        own = stats.beta(alpha, beta)
        others = [stats.beta(*each) for other, each in enumerate(arms) if other != number]
        edges = np.unique(
            np.clip(
                [each.ppf(q) for each in (own, *others) for q in (1e-9, 0.1, 0.5, 0.9, 1 - 1e-9)],
                own.ppf(1e-12),
                own.ppf(1 - 1e-12),
            )
        )

        def weighted(u: float, own: Any = own, others: list[Any] = others) -> float:
            return float(np.prod([each.cdf(own.ppf(u)) for each in others]))

        pieces = np.unique([0.0, *own.cdf(edges), 1.0])
        chances.append(
            sum(
                integrate.quad(weighted, low, high, epsabs=1e-8)[0]
                for low, high in itertools.pairwise(pieces)
            )
        )
    return chances


@pytest.mark.parametrize(
    "arms",
    [
        [(3.0, 7.0), (4.0, 6.0)],
        [(0.5, 0.5), (1.0, 1.0), (20.0, 30.0)],
        [(5_000.0, 95_000.0), (510.0, 9_490.0), (1.2, 20.0), (0.7, 12.0)],
        [(2e5, 8e5), (2.004e5, 7.996e5), (30.0, 70.0)],
        [(10.0 + number, 40.0) for number in range(12)],
        [(1e6, 9e6), (1.0, 9.0)],
        [(0.3, 1.2), (0.05, 0.4), (2.0, 3.0)],
    ],
)
def test_chances_are_those_of_the_integral(arms: list[tuple[float, float]]) -> None:
    found = [row["thompson_probability"] for row in probabilities(list(arms))]
    assert found == pytest.approx(integrated(arms), abs=1e-6)
    assert sum(found) == pytest.approx(1, abs=1e-7)


def test_equal_arms_have_equal_chances() -> None:
    found = probabilities([(3.0, 9.0)] * 5)
    assert [row["thompson_probability"] for row in found] == pytest.approx([0.2] * 5, abs=1e-7)


def test_the_floor_is_held_and_what_is_left_follows_the_chances() -> None:
    arms: list[tuple[float | None, float | None]] = [(900.0, 100.0), (10.0, 990.0), (1.0, 999.0)]
    found = probabilities(arms, floor=0.05)
    assert [row["probability"] for row in found] == pytest.approx([0.9, 0.05, 0.05])
    assert {row["exploration_floor"] for row in found} == {0.05}
    # without a floor the least one holds, and one above equal shares leaves equal shares
    assert min(row["probability"] for row in probabilities(arms)) == pytest.approx(0.001)
    found = probabilities(arms, floor=0.6)
    assert [row["probability"] for row in found] == pytest.approx([1 / 3] * 3)


def test_rewards_that_are_no_shares_give_equal_shares_and_say_so() -> None:
    found = probabilities([(None, None), (None, None)])
    assert [(row["probability"], row["basis"]) for row in found] == [(0.5, "uniform")] * 2
