"""Cross-fitted values beside a computation over single decisions."""

from __future__ import annotations

import hashlib
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.dbt.experiments.model_sql import rows
from tests.dbt.policies.logged_decisions import (
    ACTIONS,
    CONTEXTS,
    STRENGTH,
    TARGET,
    VARIABLES,
    logged,
    put_policy_values,
)


def fold_of(decision: dict[str, Any], folds: int) -> int:
    who = decision["user_id"] or decision["event_id"]
    digest = hashlib.md5(f"{decision['decision_point']}:{who}".encode()).hexdigest()  # noqa: S324
    return int(int(digest[:6], 16) / 16**6 * folds)


def by_decision(decisions: list[dict[str, Any]], folds: int) -> dict[str, tuple[float, float]]:
    """Estimator -> value and standard error; one fold is fitted on all decisions."""
    fold = np.array([fold_of(decision, folds) for decision in decisions])
    context = np.array([CONTEXTS.index(decision["context"]) for decision in decisions])
    action = np.array([ACTIONS.index(decision["action"]) for decision in decisions])
    reward = np.array([decision["reward"] for decision in decisions])
    target = np.array([TARGET[name] for name in ACTIONS])
    weight = target[action] / np.array([decision["propensity"] for decision in decisions])
    baseline, centre = np.empty(len(decisions)), np.empty(len(decisions))
    for number in range(folds):
        own = fold == number
        others = ~own if folds > 1 else own
        rate = reward[others].mean()
        expected = np.array(
            [
                [
                    (reward[cell].sum() + STRENGTH * rate) / (cell.sum() + STRENGTH)
                    for cell in (
                        others & (context == c) & (action == a) for a in range(len(ACTIONS))
                    )
                ]
                for c in range(len(CONTEXTS))
            ]
        )
        baseline[own] = (expected @ target)[context[own]]
        centre[own] = expected[context[own], action[own]]
    correction = weight * (reward - centre)
    trusted = weight <= VARIABLES["switch_weight_limit"]
    terms = {
        "ips": weight * reward,
        "dm": baseline,
        "dr": baseline + correction,
        "switch_dr": baseline + np.where(trusted, correction, 0.0),
    }
    return {
        name: (float(term.mean()), float(term.std(ddof=1) / np.sqrt(len(term))))
        for name, term in terms.items()
    }


def values(decisions: list[dict[str, Any]], folds: int) -> dict[str, dict[str, Any]]:
    with duckdb.connect() as connection:
        put_policy_values(connection, decisions, folds=folds)
        found = rows(connection, "select * from rpt_policy_values")
    return {row["estimator"]: row for row in found}


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_values_are_those_of_models_fitted_on_the_other_folds(folds: int) -> None:
    decisions = logged(2_000, users=150)
    found = values(decisions, folds)
    for name, (value, std_error) in by_decision(decisions, folds).items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-9), name
        assert found[name]["std_error"] == pytest.approx(std_error, rel=1e-9), name


def test_folds_change_what_rests_on_the_model_and_nothing_else() -> None:
    decisions = logged(2_000, users=150)
    without, with_folds = values(decisions, 1), values(decisions, 5)
    for name in ("ips", "snips"):
        assert with_folds[name]["value"] == pytest.approx(without[name]["value"], rel=1e-12)
    assert with_folds["dr"]["value"] != without["dr"]["value"]
    for name in ("effective_sample_size", "unsupported_share", "rows", "maximum_weight"):
        assert with_folds["dr"][name] == pytest.approx(without["dr"][name], rel=1e-12)


def test_a_user_whose_decisions_are_all_there_is_leaves_the_overall_rate() -> None:
    """Nobody else's rewards are known: the reward model falls back on what all decisions earned."""
    decisions = [decision | {"user_id": "ada"} for decision in logged(1_000, users=2)]
    overall = float(np.mean([decision["reward"] for decision in decisions]))
    assert values(decisions, 5)["dm"]["value"] == pytest.approx(overall, rel=1e-9)
