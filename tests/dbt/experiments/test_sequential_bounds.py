"""The bounds that the project declares spend what they say and are the published ones; none is missing."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from scipy.stats import norm

from tests.dbt.experiments.model_sql import fill, render, rows

if TYPE_CHECKING:
    from pathlib import Path

# Jennison and Turnbull (2000), tables 2.1 and 2.3: two-sided alpha 0.05, two to five looks
POCOCK = {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413}
OBRIEN_FLEMING = {2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040}

Bounds = dict[tuple[str, float], list[tuple[float, float]]]


@pytest.fixture(scope="module")
def declared(project_dir: Path) -> Bounds:
    found: Bounds = defaultdict(list)
    path = project_dir / "seeds/declarations/experiments/sequential_bounds.csv"
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            looks = found[row["bounds"], float(row["alpha"])]
            looks.append((float(row["information_fraction"]), float(row["critical_value"])))
            assert len(looks) == int(row["look"])
    return found


def spent(looks: list[tuple[float, float]]) -> float:
    """Chance that a score process without drift ever leaves the bounds.

    Armitage, McPherson and Rowe (1969): the density of paths that stayed inside is carried from
    look to look by quadrature.
    """
    nodes, weights = np.polynomial.legendre.leggauss(120)
    information, bound = looks[0]
    edge = bound * np.sqrt(information)
    total = 2 * norm.sf(bound)
    grid, inside = edge * nodes, edge * weights * norm.pdf(edge * nodes, scale=np.sqrt(information))
    for (before, _), (now, bound) in pairwise(looks):
        edge, step = bound * np.sqrt(now), np.sqrt(now - before)
        total += inside @ (norm.sf(edge, grid, step) + norm.cdf(-edge, grid, step))
        following = edge * nodes
        density = norm.pdf(following[:, None], grid[None, :], step) @ inside
        grid, inside = following, edge * weights * density
    return float(total)


def test_every_bound_spends_its_alpha(declared: Bounds) -> None:
    assert len(declared) == 80
    for (name, alpha), looks in declared.items():
        assert looks[-1][0] == 1, name
        assert spent(looks) == pytest.approx(alpha, rel=1e-6), (name, alpha)


@pytest.mark.parametrize("looks", [2, 3, 4, 5])
def test_bounds_are_the_published_ones(declared: Bounds, looks: int) -> None:
    pocock = [bound for _, bound in declared[f"pocock_{looks}", 0.05]]
    assert pocock == pytest.approx([POCOCK[looks]] * looks, abs=6e-4)
    obrien_fleming = [bound for _, bound in declared[f"obrien_fleming_{looks}", 0.05]]
    expected = [OBRIEN_FLEMING[looks] * (looks / look) ** 0.5 for look in range(1, looks + 1)]
    assert obrien_fleming == pytest.approx(expected, abs=6e-4 * looks**0.5)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        ({"alpha": 0.1}, ["0.1"]),
        ({"bounds": None}, ["(empty)", "(empty)", "(empty)"]),
        ({"bounds": "misspelt"}, ["misspelt", "misspelt", "misspelt"]),
        ({"planned_units": None}, ["planned_units"]),
        ({"ended_at": None}, ["ended_at"]),
        ({"inference": "sequential", "bounds": None, "planned_units": None}, []),
    ],
)
def test_an_experiment_that_no_bound_could_decide_fails_the_build(
    project_dir: Path, changes: dict[str, Any], problems: list[str]
) -> None:
    experiment = {
        "experiment_name": "one",
        "inference": "group_sequential",
        "bounds": "pocock_3",
        "alpha": 0.05,
        "planned_units": 2000,
        "ended_at": datetime(2026, 3, 30),  # noqa: DTZ001 - UTC without zone, as in the warehouse
    } | changes
    # two success metrics x two treatments, three deciding metrics
    roles = ("success", "success", "guardrail", "exploratory")
    levels = (0.05, 0.0125, 0.0166666667, 0.025, 0.0333333333)
    tables: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {
        "experiments": (
            {
                **dict.fromkeys(("experiment_name", "inference", "bounds"), "varchar"),
                "alpha": "double",
                "planned_units": "bigint",
                "ended_at": "timestamp",
            },
            [experiment],
        ),
        "experiment_metrics": (
            dict.fromkeys(("experiment_name", "role"), "varchar"),
            [{"experiment_name": "one", "role": role} for role in roles],
        ),
        "experiment_variants": (
            {"experiment_name": "varchar"},
            [{"experiment_name": "one"}] * 3,
        ),
        "sequential_bounds": (
            {"bounds": "varchar", "alpha": "double"},
            [{"bounds": "pocock_3", "alpha": alpha} for alpha in levels],
        ),
    }
    test = project_dir / "tests/dbt/declarations/group_sequential_bounds_are_declared.sql"
    with duckdb.connect() as connection:
        for name, (columns, given) in tables.items():
            fill(connection, f"stg_declarations__{name}", columns, given)
        found = rows(connection, f"{render(test.read_text())} order by problem")
    assert len(found) == len(problems)
    for row, problem in zip(found, problems, strict=True):
        assert problem in row["problem"]
