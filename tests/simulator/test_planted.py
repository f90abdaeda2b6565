"""The planted truth names what the default declarations declare, and its probabilities are sane."""

import csv
from pathlib import Path

import pytest

from simulator import planted
from simulator.planted import planted_effects

DECLARATIONS = Path(__file__).parents[2] / "seeds" / "declarations"
HOLDOUT_EXPERIMENT = "personalization-holdout"


def rows(name: str) -> list[dict[str, str]]:
    with (DECLARATIONS / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_experiments_are_the_declared_ones_with_the_declared_allocation() -> None:
    declared = [
        (row["experiment_name"], row["variant"], float(row["allocation"]))
        for row in rows("experiments/experiment_variants.csv")
        # attune assigns this one by itself
        if row["experiment_name"] != HOLDOUT_EXPERIMENT
    ]
    simulated = [
        (experiment.name, variant, allocation)
        for experiment in planted.EXPERIMENTS
        for variant, allocation in zip(experiment.variants, experiment.allocation, strict=True)
    ]
    assert simulated == declared
    controls = {row["experiment_name"]: row["control_variant"] for row in rows(
        "experiments/experiments.csv"
    )}  # fmt: skip
    del controls[HOLDOUT_EXPERIMENT]
    assert {item.name: item.variants[0] for item in planted.EXPERIMENTS} == controls


def test_every_declared_metric_of_every_experiment_has_a_true_effect() -> None:
    declared = {
        (row["experiment_name"], row["metric_name"])
        for row in rows("experiments/experiment_metrics.csv")
        if row["experiment_name"] != HOLDOUT_EXPERIMENT
    }
    assert {(e.experiment_name, e.metric_name) for e in planted_effects()} == declared


def test_effects_are_those_that_were_planted() -> None:
    planted_only = {
        (e.experiment_name, e.metric_name, e.variant): e.relative
        for e in planted_effects()
        if e.relative
    }
    assert planted_only == pytest.approx(
        {
            ("concise-answers", "regeneration_rate", "treatment"): -0.15,
            ("concise-answers", "copy_rate", "treatment"): 0.08,
            ("chat-model", "turn_latency", "small"): -0.45,
            ("chat-model", "turn_latency", "fast"): -0.30,
            ("chat-model", "turn_latency_p90", "small"): -0.45,
            ("chat-model", "turn_latency_p90", "fast"): -0.30,
            ("chat-model", "cost_per_turn", "small"): -0.90625,
            ("chat-model", "cost_per_turn", "fast"): -0.70,
            ("inline-ranking", "acceptance_rate", "treatment"): 0.08,
            ("quick-actions", "turns_per_user", "treatment"): 0.06,
        }
    )
    assert all((e.absolute == 0) == (e.relative == 0) for e in planted_effects())


def test_preferences_are_the_declared_dimensions_and_values() -> None:
    declared: dict[str, tuple[str, ...]] = {}
    for row in rows("preferences/preference_values.csv"):
        declared[row["dimension"]] = (*declared.get(row["dimension"], ()), row["value"])
    assert declared == {
        "answer_style": planted.STYLES,
        "answer_format": planted.FORMATS,
        "suggestion_style": planted.SUGGESTION_STYLES,
    }


def test_decision_point_has_the_declared_contexts_and_actions() -> None:
    assert [row["decision_point"] for row in rows("preferences/decision_points.csv")] == [
        planted.DECISION_POINT
    ]
    policies = rows("preferences/target_policies.csv")
    assert {row["context"] for row in policies} == set(planted.TASKS)
    assert {row["action"] for row in policies} <= set(planted.FORMATS)


def test_logged_policy_sums_to_one_and_keeps_the_declared_exploration() -> None:
    floor = float(rows("preferences/decision_points.csv")[0]["exploration_floor"])
    for task in range(len(planted.TASKS)):
        probabilities = planted.logged_probabilities(task)
        assert sum(probabilities) == pytest.approx(1)
        assert min(probabilities) >= floor


def test_model_prices_are_the_declared_ones() -> None:
    declared = [
        (
            row["model"],
            float(row["input_usd_per_million_tokens"]),
            float(row["output_usd_per_million_tokens"]),
        )
        for row in rows("catalog/model_prices.csv")
    ]
    assert declared == [
        (model, *prices)
        for model, prices in zip(planted.MODELS, planted.MODEL_PRICES_USD, strict=True)
    ]


def largest(mechanism: str) -> float:
    return max([1.0, *(item.get(mechanism, 1.0) for item in planted.MULTIPLIERS.values())])


def test_no_probability_reaches_one_so_that_multipliers_are_exact() -> None:
    lift = planted.USER_LIFT_RANGE[1]
    copy = (
        planted.BASE_COPY
        * max(planted.COPY_STYLE_FACTOR)
        * max(planted.COPY_FORMAT_FACTOR)
        * max(max(row) for row in planted.COPY_TASK_FORMAT_FACTOR)
        * lift
        * largest("copy")
    )
    regeneration = (
        planted.BASE_REGENERATION
        * max(planted.REGENERATION_STYLE_FACTOR)
        * max(planted.REGENERATION_FORMAT_FACTOR)
        * largest("regeneration")
    )
    acceptance = (
        planted.BASE_ACCEPTANCE
        * max(planted.ACCEPTANCE_STYLE_FACTOR)
        * lift
        * largest("acceptance")
    )
    # copied and regenerated share one draw
    assert copy + regeneration < 1
    assert acceptance < 1
    assert max(planted.WEEKDAY_FACTORS) * planted.MAX_ACTIVE_PROBABILITY < 1
    assert planted.POSITIVE_FEEDBACK_BASE + 2 * planted.POSITIVE_FEEDBACK_PER_MATCH < 1
