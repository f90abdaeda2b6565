"""Effects pooled over segments and over experiments: Cochran's Q, and DerSimonian and Laird."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from scipy import stats

from tests.dbt.experiments.model_sql import Row, build, fill, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBERS = ("alpha", "absolute_effect", "effect_variance", "relative_effect", "baseline")
COLUMNS = (
    dict.fromkeys(
        ("experiment_name", "metric_name", "treatment_variant", "segment_name", "segment_value"),
        "varchar",
    )
    | dict.fromkeys(("adjustment", "status", "better"), "varchar")
    | {"is_final": "boolean", "control_units": "bigint", "treatment_units": "bigint"}
    | dict.fromkeys((*NUMBERS, "baseline_variance", "baseline_covariance"), "double")
)
PLAIN: Row = {
    "metric_name": "m",
    "treatment_variant": "t",
    "adjustment": "none",
    "status": "ok",
} | {
    "is_final": True,
    "alpha": 0.05,
    "better": "up",
    "control_units": 25,
    "treatment_units": 25,
}


def pool(model: str, effects: Iterable[Row], failed: tuple[str, ...] = ()) -> list[Row]:
    """Build the model on judged effects; every experiment is complete, some failed a check."""
    given: list[Row] = [PLAIN | effect for effect in effects]
    with duckdb.connect() as connection:
        fill(connection, "int_experiment_adjusted", COLUMNS, given)
        fill(
            connection,
            "int_experiment_states",
            {"experiment_name": "varchar", "is_complete": "boolean", "has_failed_check": "boolean"},
            [
                {"experiment_name": name, "is_complete": True, "has_failed_check": name in failed}
                for name in sorted({row["experiment_name"] for row in given})
            ],
        )
        build(connection, model)
        return rows(connection, f"from {model} order by all")


def test_cochrans_q_is_a_chi_square_of_the_segments() -> None:
    generator = np.random.default_rng(4)
    effects: list[Row] = []
    families: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    # one of its effects stands out so far that its tail is tiny
    for place, spread in enumerate([0.0, 0.5, 1.0, 2.0, 5.0, 60.0]):
        values = int(generator.integers(2, 9))
        variance = generator.gamma(2, 1, values) + 0.1
        effect = generator.normal(1, np.sqrt(variance)) + spread * generator.normal(0, 1, values)
        metric, segment = f"m{place // 2}", f"s{place % 2}"
        families[metric, segment] = effect, variance
        for value in range(values):
            names = {"segment_name": segment, "segment_value": f"v{value}", "metric_name": metric}
            numbers = {"absolute_effect": effect[value], "effect_variance": variance[value]}
            effects.append({"experiment_name": "e", **names, **numbers})
    extremes = {"absolute_effect": 1e6, "effect_variance": 1.0}
    effects.extend(
        {"experiment_name": "e", "metric_name": "m0", **extremes, **others}
        for others in (
            {"segment_name": "all", "segment_value": "all"},
            {"segment_name": "s0", "segment_value": "x", "status": "zero_variance"},
            {"segment_name": "s0", "segment_value": "x", "adjustment": "cuped"},
            {"segment_name": "s0", "segment_value": "x", "is_final": False},
            # too few for their variance to weigh by
            {"segment_name": "s0", "segment_value": "x", "control_units": 24},
            {"segment_name": "s0", "segment_value": "x", "treatment_units": 24},
            # one value has nothing to differ from
            {"segment_name": "alone", "segment_value": "x"},
        )
    )
    found = pool("rpt_experiment_heterogeneity", effects)
    assert {(row["metric_name"], row["segment_name"]) for row in found} == set(families)
    tails = []
    for row in found:
        effect, variance = families[row["metric_name"], row["segment_name"]]
        mean = np.average(effect, weights=1 / variance)
        statistic = float(((effect - mean) ** 2 / variance).sum())
        freedom = len(effect) - 1
        tails.append(float(stats.chi2.sf(statistic, freedom)))
        assert (row["segment_values"], row["degrees_of_freedom"]) == (len(effect), freedom)
        assert row["pooled_effect"] == pytest.approx(mean, rel=1e-11)
        assert row["cochran_q"] == pytest.approx(statistic, rel=1e-11)
        assert row["p_value"] == pytest.approx(tails[-1], rel=1e-9)
        # Higgins and Thompson's I squared
        share = max(0.0, 1 - freedom / statistic)
        assert row["heterogeneous_share"] == pytest.approx(share, rel=1e-9, abs=1e-12)
    adjusted = stats.false_discovery_control(tails)
    assert [row["p_value_adjusted"] for row in found] == pytest.approx(list(adjusted), rel=1e-9)
    assert [row["is_heterogeneous"] for row in found] == [bool(tail <= 0.05) for tail in adjusted]
    assert {row["is_heterogeneous"] for row in found} == {True, False}
    assert min(tails) < 1e-100


def test_effects_that_are_the_same_differ_by_nothing() -> None:
    same = {"experiment_name": "e", "segment_name": "s", "absolute_effect": 0.0}
    (row,) = pool(
        "rpt_experiment_heterogeneity",
        [same | {"segment_value": value, "effect_variance": 2.0} for value in ("a", "b")],
    )
    assert (row["cochran_q"], row["heterogeneous_share"], row["p_value"]) == (0.0, 0.0, 1.0)


def der_simonian_laird(effect: np.ndarray, variance: np.ndarray) -> dict[str, Any]:
    """Shrunk effects and their errors: the normal posterior, and the error of the pool's mean."""
    weights = 1 / variance
    fixed = np.average(effect, weights=weights)
    statistic = (weights * (effect - fixed) ** 2).sum()
    spread = weights.sum() - (weights**2).sum() / weights.sum()
    between = max(0.0, (statistic - (len(effect) - 1)) / spread)
    mean = np.average(effect, weights=1 / (variance + between))
    mean_variance = 1 / (1 / (variance + between)).sum()
    kept = between / (between + variance)
    return {
        "cochran_q": statistic,
        "between_variance": between,
        "pool_mean": mean,
        "shrunk_relative_effect": kept * effect + (1 - kept) * mean,
        "shrunk_std_error": np.sqrt(kept * variance + (1 - kept) ** 2 * mean_variance),
    }


@pytest.mark.parametrize(("spread", "better"), [(3.0, "up"), (3.0, "down"), (0.0, "up")])
def test_effects_shrink_as_der_simonian_and_laird_say(spread: float, better: str) -> None:
    generator = np.random.default_rng(12)
    count = 7
    baseline = generator.uniform(5, 20, count) * generator.choice([-1.0, 1.0], count)
    relative = 0.04 + spread * generator.normal(0, 0.03, count)
    effect = relative * np.abs(baseline)
    effect_variance = generator.gamma(4, 0.05, count) + 0.05
    baseline_variance = effect_variance * generator.uniform(0.3, 0.7, count)
    # arms are apart: the effect takes the control's own variance away
    covariance = -baseline_variance
    effects = [
        {"experiment_name": f"e{place}", "segment_name": "all", "better": better}
        | {"absolute_effect": effect[place], "effect_variance": effect_variance[place]}
        | {"relative_effect": relative[place], "baseline": baseline[place]}
        | {"baseline_variance": baseline_variance[place], "baseline_covariance": covariance[place]}
        for place in range(count)
    ]
    # nothing is learned from an experiment that failed a check
    effects.append(effects[0] | {"experiment_name": "failed", "relative_effect": 1e3})
    # nor from one of few units
    effects.append(effects[0] | {"experiment_name": "small", "treatment_units": 24})
    found = pool("rpt_experiment_shrinkage", effects, failed=("failed",))
    # treatment / |control| by the delta method, on the arms themselves
    treatment_variance = effect_variance - baseline_variance
    slope = 1 / np.abs(baseline)
    pull = -slope - effect / baseline**2 * np.sign(baseline)
    variance = treatment_variance * slope**2 + baseline_variance * pull**2
    wanted = der_simonian_laird(relative, variance)
    assert (wanted["between_variance"] > 0) == (spread > 0)
    assert [row["experiment_name"] for row in found] == [f"e{place}" for place in range(count)]
    assert {(row["pool"], row["effects_in_pool"]) for row in found} == {("metric", count)}
    errors = [row["relative_std_error"] for row in found]
    assert errors == pytest.approx(list(np.sqrt(variance)), rel=1e-10)
    for name, value in wanted.items():
        expected = list(np.broadcast_to(value, count))
        got = [row[name] for row in found]
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-14), name


def test_few_effects_of_a_metric_are_pooled_with_those_of_others() -> None:
    plain = {"segment_name": "all", "baseline": 1.0, "baseline_variance": 0.0}
    plain |= {"baseline_covariance": 0.0, "effect_variance": 0.04}
    effects = [
        plain
        | {"experiment_name": name, "metric_name": metric, "better": better}
        | {"relative_effect": effect, "absolute_effect": effect}
        for name, metric, better, effect in [
            ("e1", "clicks", "up", 0.3),
            ("e2", "clicks", "up", 1.0),
            # what is better is pooled
            ("e1", "errors", "down", -0.9),
        ]
    ]
    found = pool("rpt_experiment_shrinkage", effects)
    wanted = der_simonian_laird(np.array([0.3, 0.9, 1.0]), np.full(3, 0.04))
    assert {(row["pool"], row["effects_in_pool"]) for row in found} == {("all_metrics", 3)}
    shrunk = sorted(abs(row["shrunk_relative_effect"]) for row in found)
    assert shrunk == pytest.approx(sorted(wanted["shrunk_relative_effect"]), rel=1e-10)
    for row in found:
        assert row["shrunk_std_error"] == pytest.approx(wanted["shrunk_std_error"][0], rel=1e-10)
        assert (row["shrunk_relative_effect"] < 0) == (row["metric_name"] == "errors")
    assert pool("rpt_experiment_shrinkage", effects[:2]) == []
