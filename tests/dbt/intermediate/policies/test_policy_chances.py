"""Chances of being the best action, against adaptive quadrature of the same integral.

The SQL states 1e-6; draws would need a million million of them for that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy import integrate, stats

from tests.dbt.experiments.model_sql import model_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = 1e-6

Shape = tuple[float, float]

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("decision_point", "context", "action")]
    + [
        (name, pa.float64())
        for name in ("alpha", "beta", "centre", "spread", "left_tail", "right_tail")
    ]
)

CASES: Mapping[str, Sequence[Shape]] = {
    "alike": [(5, 45), (5, 45), (5, 45)],
    "close": [(31, 170), (28, 180), (40, 260)],
    "one is hardly known": [(4000, 36000), (20, 180), (3900, 36100)],
    "narrow beside wide": [(1e6, 9e6), (1, 9)],
    "far apart": [(5, 95), (60, 40)],
    "weak priors": [(0.3, 1.2), (0.05, 0.4), (2, 3)],
    "many": [(2 + index % 7, 90 + 3 * index) for index in range(12)],
    "alone": [(2, 8)],
}


def beta_row(context: str, action: int, shape: Shape) -> dict[str, object]:
    alpha, beta = shape
    return {
        "decision_point": "p",
        "context": context,
        "action": str(action),
        "alpha": float(alpha),
        "beta": float(beta),
        "centre": math.log(alpha / beta),
        "spread": math.sqrt(1 / alpha + 1 / beta),
        "left_tail": 25 / alpha,
        "right_tail": 25 / beta,
    }


def chances(rows: Sequence[Mapping[str, object]]) -> dict[tuple[str, int], float]:
    with duckdb.connect() as connection:
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        connection.register("int_action_posteriors", table)
        found = connection.execute(model_sql("int_action_chances")).fetchall()
    return {(context, int(action)): chance for _, context, action, chance in found}


def exact(shapes: Sequence[Shape], index: int) -> float:
    """Integrate over the log-odds, where no Beta density has a pole."""
    own = stats.beta(*shapes[index])
    rivals = [stats.beta(*shape) for at, shape in enumerate(shapes) if at != index]

    def integrand(odds: float) -> float:
        x = 1 / (1 + math.exp(-odds))
        return float(own.pdf(x) * x * (1 - x) * math.prod(each.cdf(x) for each in rivals))

    centres = sorted(math.log(alpha / beta) for alpha, beta in shapes)
    alpha, beta = shapes[index]
    spread = 12 * math.sqrt(1 / alpha + 1 / beta)
    middle = math.log(alpha / beta)
    lower, upper = middle - spread - 30 / alpha, middle + spread + 30 / beta
    lower, upper = max(lower, -650.0), min(upper, 35.0)
    breaks = [each for each in {*centres, middle} if lower < each < upper]
    edges = np.unique([lower, *breaks, upper, *np.linspace(lower, upper, 16)])
    return math.fsum(
        integrate.quad(integrand, start, end, epsabs=1e-9, epsrel=1e-8)[0]
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    )


@pytest.mark.parametrize("name", CASES)
def test_chances_are_those_of_adaptive_quadrature(name: str) -> None:
    shapes = CASES[name]
    found = chances([beta_row(name, index, shape) for index, shape in enumerate(shapes)])
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-12)
    for index in range(min(len(shapes), 2)):
        assert found[name, index] == pytest.approx(exact(shapes, index), abs=TOLERANCE)


def test_normal_posteriors_follow_the_normal_distribution() -> None:
    rows: list[dict[str, object]] = [
        {
            "decision_point": "p",
            "context": "all",
            "action": str(action),
            "alpha": None,
            "beta": None,
            "centre": centre,
            "spread": spread,
            "left_tail": 0.0,
            "right_tail": 0.0,
        }
        for action, (centre, spread) in enumerate([(3.0, 0.5), (3.4, 0.2)])
    ]
    found = chances(rows)
    wanted = stats.norm.cdf((3.0 - 3.4) / math.hypot(0.5, 0.2))
    assert found["all", 0] == pytest.approx(wanted, abs=TOLERANCE)
