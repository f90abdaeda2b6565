"""One unit table through attune, gbstats and tea-tasting: the same numbers to 1e-9.

The libraries run in an environment of their own, which the Makefile makes from
requirements-reference.lock: gbstats pins older packages than attune's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy import stats

from tests.dbt.experiments.model_sql import Row, build, fill, rows
from tests.dbt.experiments.scorecards import Arm, Comparison, adjust, judge

Numbers = dict[str, dict[str, dict[str, float]]]

SCRIPT = Path(__file__).parent / "reference_libraries.py"
WELCH = (
    "absolute_effect",
    "absolute_std_error",
    "absolute_ci_lower",
    "absolute_ci_upper",
    "degrees_of_freedom",
    "p_value",
)
LEVELS = ("absolute_effect", "absolute_ci_lower", "absolute_ci_upper", "p_value", "t_statistic")


def make_units() -> dict[str, np.ndarray]:
    """Units of two arms with means and ratios that hang together with their history."""
    generator = np.random.default_rng(20260301)
    count = 4000
    treated = generator.random(count) < 0.5
    taste = generator.gamma(2, 1, count)
    return {
        "variant": np.where(treated, "treatment", "control"),
        "revenue": taste * generator.gamma(3, 2, count) + 0.4 * treated,
        "revenue_before": taste * generator.gamma(3, 2, count),
        "sessions": 1.0 + generator.poisson(3 * taste),
        "sessions_before": 1.0 + generator.poisson(3 * taste),
        "orders": generator.poisson(taste + 0.1 * treated).astype(float),
        "orders_before": generator.poisson(taste).astype(float),
    }


@pytest.fixture(scope="module")
def units() -> dict[str, np.ndarray]:
    return make_units()


@pytest.fixture(scope="module")
def libraries(units: dict[str, np.ndarray]) -> Numbers:
    python = Path(sys.prefix) / "reference" / "bin" / "python"
    if not python.exists():
        message = f"no reference libraries in {python.parents[1]}: run make test once"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(
        [str(python), str(SCRIPT)],
        input=json.dumps({name: values.tolist() for name, values in units.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def arm(units: dict[str, np.ndarray], variant: str, columns: dict[str, str]) -> Arm:
    """Sums of one arm: part -> column."""
    chosen = {part: units[column][units["variant"] == variant] for part, column in columns.items()}
    parts = list(chosen)
    return Arm(
        len(chosen["numerator"]),
        {part: float(values.sum()) for part, values in chosen.items()},
        {
            (part, other): float((chosen[part] * chosen[other]).sum())
            for place, part in enumerate(parts)
            for other in parts[place:]
        },
    )


@pytest.fixture(scope="module")
def scorecard(units: dict[str, np.ndarray]) -> dict[str, Row]:
    mean = {"numerator": "revenue", "covariate_numerator": "revenue_before"}
    ratio = {
        "numerator": "orders",
        "denominator": "sessions",
        "covariate_numerator": "orders_before",
        "covariate_denominator": "sessions_before",
    }
    judged = judge(
        Comparison(name, arm(units, "control", columns), arm(units, "treatment", columns), name)
        for name, columns in (("mean", mean), ("ratio", ratio))
    )
    return {
        name if adjustment == "none" else f"{name}_{adjustment}": row
        for (name, adjustment), row in judged.items()
    }


def assert_same(row: Row, wanted: dict[str, float], names: tuple[str, ...], what: str) -> None:
    for name in names:
        assert row[name] == pytest.approx(wanted[name], rel=1e-9, abs=1e-12), f"{what} {name}"


@pytest.mark.parametrize("metric", ["mean", "ratio", "mean_cuped"])
def test_gbstats_agrees(metric: str, scorecard: dict[str, Row], libraries: Numbers) -> None:
    assert_same(scorecard[metric], libraries["gbstats"][metric], WELCH, metric)


def test_gbstats_has_the_same_slope(scorecard: dict[str, Row], libraries: Numbers) -> None:
    assert_same(
        scorecard["mean_cuped"], libraries["gbstats"]["mean_cuped"], ("theta",), "mean_cuped"
    )


@pytest.mark.parametrize("metric", ["mean", "ratio", "mean_cuped", "ratio_cuped"])
def test_tea_tasting_agrees(metric: str, scorecard: dict[str, Row], libraries: Numbers) -> None:
    names = (*LEVELS, "control_value", "treatment_value")
    assert_same(scorecard[metric], libraries["tea_tasting"][metric], names, metric)


@pytest.mark.parametrize(
    ("method", "role"), [("benjamini_hochberg", "exploratory"), ("holm", "success")]
)
def test_tea_tasting_adjusts_alike(
    method: str, role: str, scorecard: dict[str, Row], libraries: Numbers
) -> None:
    tested = adjust(
        {
            "experiment_name": "one",
            "metric_name": metric,
            "metric_role": role,
            "inference": "fixed",
            "absolute_effect": 1.0,
            "p_value": scorecard[metric]["p_value"],
        }
        for metric in ("mean", "ratio")
    )
    assert {row["multiplicity_method"] for row in tested} == {method}
    wanted = libraries["tea_tasting"][method]
    for row in tested:
        assert row["p_value_adjusted"] == pytest.approx(wanted[row["metric_name"]], rel=1e-9)


def test_tea_tasting_agrees_on_the_sample_ratio(
    units: dict[str, np.ndarray], libraries: Numbers
) -> None:
    columns = dict.fromkeys(
        ("experiment_name", "segment_name", "segment_value", "variant"), "varchar"
    )
    with duckdb.connect() as connection:
        fill(
            connection,
            "int_experiment_arm_counts",
            columns | {"as_of_date": "date", "allocation": "double", "units": "bigint"},
            [
                {
                    "experiment_name": "one",
                    "variant": variant,
                    "allocation": 0.5,
                    "units": int((units["variant"] == variant).sum()),
                }
                for variant in ("control", "treatment")
            ],
        )
        build(
            connection,
            "int_experiment_sample_ratios",
            variables={"sample_ratio_prior_concentration": 100.0},
        )
        (row,) = rows(connection, "select chi_square from int_experiment_sample_ratios")
    # two arms: chi-square is the square of the normal statistic
    tail = float(stats.chi2.sf(row["chi_square"], 1))
    assert tail == pytest.approx(libraries["tea_tasting"]["share"]["p_value"], rel=1e-9)


def test_scipy_agrees_on_welch(units: dict[str, np.ndarray], scorecard: dict[str, Row]) -> None:
    treated = units["variant"] == "treatment"
    test: Any = stats.ttest_ind(
        units["revenue"][treated], units["revenue"][~treated], equal_var=False
    )
    interval = test.confidence_interval()
    row = scorecard["mean"]
    assert row["p_value"] == pytest.approx(test.pvalue, rel=1e-9)
    assert row["t_statistic"] == pytest.approx(test.statistic, rel=1e-9)
    assert row["degrees_of_freedom"] == pytest.approx(test.df, rel=1e-9)
    assert row["absolute_ci_lower"] == pytest.approx(interval.low, rel=1e-9)
    assert row["absolute_ci_upper"] == pytest.approx(interval.high, rel=1e-9)
