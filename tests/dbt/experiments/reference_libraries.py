"""The same unit table through gbstats and tea-tasting: JSON in, JSON out.

Runs in an environment of its own (requirements-reference.lock), because gbstats pins a numpy that
attune cannot have; so it imports nothing of attune.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import tea_tasting as tt
from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
from gbstats.models.statistics import (
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
    compute_theta,
)


def growthbook(arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Absolute effects of means, ratios and CUPED by gbstats."""

    def mean(values: Any) -> SampleMeanStatistic:
        return SampleMeanStatistic(
            n=len(values), sum=float(values.sum()), sum_squares=float((values**2).sum())
        )

    def ratio(arm: dict[str, Any]) -> RatioStatistic:
        return RatioStatistic(
            n=len(arm["orders"]),
            m_statistic=mean(arm["orders"]),
            d_statistic=mean(arm["sessions"]),
            m_d_sum_of_products=float((arm["orders"] * arm["sessions"]).sum()),
        )

    def adjusted(arm: dict[str, Any]) -> RegressionAdjustedStatistic:
        return RegressionAdjustedStatistic(
            n=len(arm["revenue"]),
            post_statistic=mean(arm["revenue"]),
            pre_statistic=mean(arm["revenue_before"]),
            post_pre_sum_of_products=float((arm["revenue"] * arm["revenue_before"]).sum()),
            theta=0,
        )

    def judged(control: Any, treatment: Any) -> dict[str, float]:
        test = TwoSidedTTest(control, treatment, FrequentistConfig(difference_type="absolute"))
        lower, upper = test.confidence_interval
        return {
            "absolute_effect": float(test.point_estimate),
            "absolute_std_error": float(np.sqrt(test.variance)),
            "absolute_ci_lower": float(lower),
            "absolute_ci_upper": float(upper),
            "degrees_of_freedom": float(test.dof),
            "p_value": float(test.p_value),
        }

    control, treatment = arms["control"], arms["treatment"]
    cuped = adjusted(control), adjusted(treatment)
    theta = compute_theta(*cuped)
    for statistic in cuped:
        statistic.theta = theta
    return {
        "mean": judged(mean(control["revenue"]), mean(treatment["revenue"])),
        "ratio": judged(ratio(control), ratio(treatment)),
        "mean_cuped": judged(*cuped) | {"theta": float(theta)},
    }


def tea_tasting(table: pa.Table) -> dict[str, dict[str, float]]:
    """Absolute effects of means and ratios, with and without CUPED, and the adjusted p-values."""
    experiment = tt.Experiment(
        mean=tt.Mean("revenue"),
        mean_cuped=tt.Mean("revenue", "revenue_before"),
        ratio=tt.RatioOfMeans("orders", "sessions"),
        ratio_cuped=tt.RatioOfMeans("orders", "sessions", "orders_before", "sessions_before"),
        share=tt.SampleRatio(method="norm", correction=False),
    )
    result = experiment.analyze(table, control="control")
    names = {
        "absolute_effect": "effect_size",
        "absolute_ci_lower": "effect_size_ci_lower",
        "absolute_ci_upper": "effect_size_ci_upper",
        "p_value": "pvalue",
        "t_statistic": "statistic",
        "control_value": "control",
        "treatment_value": "treatment",
    }
    numbers = {
        metric: {name: float(getattr(result[metric], theirs)) for name, theirs in names.items()}
        for metric in ("mean", "mean_cuped", "ratio", "ratio_cuped")
    }
    numbers["share"] = {"p_value": float(result["share"].pvalue)}
    metrics = ["mean", "ratio"]
    for method, adjust in (
        ("benjamini_hochberg", tt.adjust_fdr(result, metrics)),
        (
            "holm",
            tt.adjust_fwer(result, metrics, arbitrary_dependence=True, method="bonferroni"),
        ),
    ):
        numbers[method] = {row["metric"]: float(row["pvalue_adj"]) for row in adjust.to_dicts()}
    return numbers


def main() -> None:
    """Read columns, write numbers."""
    columns = json.load(sys.stdin)
    table = pa.table(columns)
    variants = np.array(columns.pop("variant"))
    arms = {
        variant: {name: np.array(values)[variants == variant] for name, values in columns.items()}
        for variant in ("control", "treatment")
    }
    json.dump({"gbstats": growthbook(arms), "tea_tasting": tea_tasting(table)}, sys.stdout)


if __name__ == "__main__":
    main()
