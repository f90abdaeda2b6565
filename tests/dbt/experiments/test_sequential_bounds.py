"""The bounds that the project declares spend what they say, and are the published ones."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import norm

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
