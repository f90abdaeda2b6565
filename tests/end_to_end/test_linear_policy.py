"""A decision point whose arms are linear in its context earns what the simulator planted."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from orchestration.lib.dbt_runner import BUILD, run_dbt
from simulator import simulate
from tests.workspaces import ManifestCache, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (
    "decision_point,reward_event,reward_attribute,reward_join,reward_window_minutes,"
    "reward_prior_strength,reward_model_folds,context_attribute,arm_model,exploration_floor"
)
FLOOR = 0.05
POINT = f"reply-format,assistant.response.copied,,trace,60,10,,task.kind;user.plan,linear,{FLOOR}"


def test_linear_arms_serve_what_is_truly_liked_in_each_context(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    world = make_workspace(
        tmp_path,
        project_dir,
        manifests,
        overrides={"preferences/decision_points.csv": f"{HEADER}\n{POINT}\n"},
    )
    simulate(world.workspace.inbox, truth_dir=tmp_path / "truth", users=500, days=14, seed=5)
    world.ingest()
    result = run_dbt(
        world.workspace,
        [*BUILD, "--select", "+fct_action_probabilities", "--indirect-selection", "buildable"],
        manifest=manifests.manifest_for(world.workspace),
    )
    assert result.success, [each.message for each in result.result.results if each.failures]
    truth = pq.read_table(tmp_path / "truth" / "truth_decisions.parquet").to_pylist()
    rewards: dict[str, dict[str, float]] = defaultdict(dict)
    for row in truth:
        rewards[row["context"]][row["action"]] = row["true_reward_mean"]
    shares = {row["context"]: row["context_share"] for row in truth}
    served: dict[str, dict[str, float]] = defaultdict(dict)
    for row in world.query("select * from marts.fct_action_probabilities"):
        # the plan is not told with decisions: a context of two attributes, one of them missing
        served[row["context"].removesuffix(",missing")][row["action"]] = row["probability"]
    assert served.keys() == rewards.keys() | {"all"}
    uniform = best = learned = 0.0
    for context, share in shares.items():
        probabilities = served[context]
        assert math.isclose(sum(probabilities.values()), 1)
        assert min(probabilities.values()) >= FLOOR * (1 - 1e-12)
        uniform += share * sum(rewards[context].values()) / len(rewards[context])
        best += share * max(rewards[context].values())
        learned += share * sum(
            probability * rewards[context][action] for action, probability in probabilities.items()
        )
    assert (learned - uniform) / (best - uniform) > 0.5
    # one for all contexts would be wrong: each has its own favourite
    assert len({max(served[each], key=served[each].__getitem__) for each in shares}) > 1
