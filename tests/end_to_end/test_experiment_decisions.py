"""Decisions on the planted world, and plans from its history."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from orchestration.lib import dbt_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest

MODELS_ONLY = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
# starts three weeks into the telemetry, which runs for four
LATE_START = """\
experiment_name,unit,control_variant,started_at,ended_at,inference,alpha,power,planned_units
inline-ranking,user,control,2026-03-23,2026-03-30,fixed,0.05,0.8,
"""
VARIANTS = """\
experiment_name,variant,allocation
inline-ranking,control,0.5
inline-ranking,treatment,0.5
"""
METRICS = """\
experiment_name,metric_name,role,minimum_effect
inline-ranking,turns_per_user,success,0.1
inline-ranking,acceptance_rate,guardrail,0.05
"""


def build(world: WorkspaceUnderTest, select: str) -> None:
    """Build models without their tests."""
    world.ingest()
    result = dbt_runner.run_dbt(
        world.workspace,
        ["build", "--select", select, *MODELS_ONLY],
        manifest=world.manifests.manifest_for(world.workspace),
    )
    assert result.success


def test_planted_experiments_are_decided_as_planted(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    world = workspace()
    world.simulate(users=1200, days=28, seed=11)
    build(world, "+rpt_experiment_decisions")
    found = {
        (row["experiment_name"], row["treatment_variant"]): row
        for row in world.query("select * from marts.rpt_experiment_decisions")
    }
    # nothing is planted there, and it has no end
    holdout = found.pop(("personalization-holdout", "personalized"))
    assert (holdout["decision"], holdout["failed_checks"]) == ("keep_running", None)
    for treatment in ("fast", "small"):
        wins = found["chat-model", treatment]["winning_metrics"]
        assert wins == "cost_per_turn, turn_latency"
    assert "regeneration_rate" in found["concise-answers", "treatment"]["winning_metrics"]
    assert found["inline-ranking", "treatment"]["winning_metrics"] == "acceptance_rate"
    sidebar = found["sidebar-layout", "treatment"]
    assert (sidebar["decision"], sidebar["winning_metrics"]) == ("do_not_ship", None)
    broken = found["quick-actions", "treatment"]
    assert broken["decision"] == "invalid"
    assert "sample_ratio" in broken["failed_checks"]
    assert {row["decision"] for row in found.values()} <= {"ship", "do_not_ship", "invalid"}


def test_plans_from_history_have_the_power_that_they_promise(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    world = workspace(
        overrides={
            "experiments/experiments.csv": LATE_START,
            "experiments/experiment_variants.csv": VARIANTS,
            "experiments/experiment_metrics.csv": METRICS,
        }
    )
    world.simulate(users=300, days=28, seed=5)
    build(world, "+rpt_experiment_plans")
    rows = {
        (row["metric_name"], row["adjustment"]): row
        for row in world.query("select * from marts.rpt_experiment_plans")
    }
    assert {row["baseline_source"] for row in rows.values()} == {"history"}
    assert {row["status"] for row in rows.values()} == {"ok"}
    for row in rows.values():
        # one guardrail: both must succeed together
        assert row["test_power"] == pytest.approx(0.9)
        for units, margin in (
            (row["required_units"], row["minimum_effect"]),
            (row["evaluated_units"], row["relative_detectable_effect"]),
        ):
            assert power_of(row, units, margin) == pytest.approx(0.9, abs=2e-3)
    turns = rows["turns_per_user", "cuped"]
    plain = rows["turns_per_user", "none"]
    assert turns["required_units"] < plain["required_units"]
    assert turns["variance_removed"] == pytest.approx(
        1 - turns["unit_variance"] / plain["unit_variance"]
    )
    # what the history says is what a look at its events says
    counts = world.query(
        """
        with entered as (
            select unit_id, min(occurred_at) as entered_at
            from marts.fct_events
            where event_date between '2026-03-16' and '2026-03-22' and unit_id is not null
            group by all
        )
        select count(turns.unit_id) as turns
        from entered
        left join intermediate.int_metric_events as turns
            on turns.unit_id = entered.unit_id and turns.metric_name = 'turns_per_user'
                and turns.occurred_at >= entered_at and turns.occurred_at < '2026-03-23'
        where entered.unit_id not in (
            select unit_id from intermediate.int_units_excluded
        )
        group by entered.unit_id
        """
    )
    values = [row["turns"] for row in counts]
    assert plain["baseline_units"] == len(values) > 100
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    assert plain["baseline_value"] == pytest.approx(mean)
    assert plain["unit_variance"] == pytest.approx(variance)
    assert plain["units_per_day"] == pytest.approx(len(values) / 7)


def power_of(row: dict[str, float | str], units: int, margin: float) -> float:
    """Power of the t test at an effect (or of a guardrail's margin at none), by scipy."""
    arm = units / 2
    adjusted = float(row["unit_variance"])
    removed = float(row["variance_removed"] or 0)
    if row["metric_role"] == "guardrail":
        # treatment - control + margin x control: CUPED leaves the control's own variance
        raw = adjusted / (1 - removed)
        spread = adjusted * 2 - 2 * margin * adjusted + margin**2 * raw
    else:
        spread = adjusted * 2
    error = sqrt(spread / arm)
    tail = float(row["test_alpha"]) / float(row["test_sides"])
    critical = stats.t.isf(tail, units - 2)
    effect = margin * abs(float(row["baseline_value"]))
    return float(stats.nct.sf(critical, units - 2, effect / error))
