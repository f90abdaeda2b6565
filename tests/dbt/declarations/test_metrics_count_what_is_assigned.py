"""A metric that knows users only cannot judge what an experiment on anything else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestration.lib import dbt_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest

SELECTED = ["experiments", "experiment_metrics", "metrics_count_what_is_assigned"]
METRICS = """\
experiment_name,metric_name,role
rollout,acceptance_rate,success
rollout,active_days_per_user,guardrail
rollout,retention_day_7,exploratory
"""


@pytest.mark.parametrize(("unit", "wrong"), [("user", 0), ("session", 2), ("organization", 2)])
def test_days_of_users_are_for_experiments_on_users(
    workspace: Callable[..., WorkspaceUnderTest], unit: str, wrong: int
) -> None:
    under_test = workspace(
        overrides={
            "experiments/experiments.csv": (
                f"experiment_name,unit,started_at\nrollout,{unit},2026-03-02\n"
            ),
            "experiments/experiment_metrics.csv": METRICS,
        }
    )
    result = dbt_runner.run_dbt(
        under_test.workspace,
        ["build", "--select", *SELECTED, "--indirect-selection", "empty"],
        manifest=under_test.manifests.manifest_for(under_test.workspace),
    )
    (found,) = (each for each in result.result.results if each.node.name == SELECTED[-1])
    assert (found.failures, result.success) == (wrong, not wrong)
