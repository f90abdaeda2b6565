"""The simulator knows the truth; the marts must find it.

Worlds are loaded through the front door and judged by the models, one world per seed.
`ATTUNE_TRUTH_WORLDS=200 pytest tests/end_to_end/test_planted_truth.py` judges as many worlds.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from math import sqrt
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from orchestration.ingest import pseudonymize
from orchestration.lib import dbt_runner
from simulator import planted_effects, simulate
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

WORLDS = int(os.environ.get("ATTUNE_TRUTH_WORLDS", "8"))
MODELS_ONLY = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]

pytestmark = pytest.mark.xdist_group("planted_truth")


def judged_world(
    root: Path, project_dir: Path, manifests: ManifestCache, *, seed: int, users: int, select: str
) -> WorkspaceUnderTest:
    """Simulate, load and build one world; its truth lies in `truth/`."""
    world = make_workspace(root, project_dir, manifests)
    simulate(world.workspace.inbox, truth_dir=root / "truth", users=users, days=28, seed=seed)
    world.ingest()
    result = dbt_runner.run_dbt(
        world.workspace,
        ["build", "--select", select, *MODELS_ONLY],
        manifest=manifests.manifest_for(world.workspace),
    )
    assert result.success
    return world


def test_planted_effects_lie_in_their_intervals_at_the_stated_rate(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    """About 95% of the 95% intervals hold the planted effect; never far fewer, never all."""
    effects = {
        (effect.experiment_name, effect.metric_name, effect.variant): effect.relative
        for effect in planted_effects()
        # what is not reported in this experiment depends on nothing, but its sample is small
        if effect.experiment_name != "quick-actions"
    }
    held = total = 0
    for seed in range(WORLDS):
        world = judged_world(
            tmp_path / str(seed),
            project_dir,
            manifests,
            seed=seed,
            users=300,
            select="+rpt_experiment_results",
        )
        rows = world.query(
            "select * from marts.rpt_experiment_results "
            "where segment_name = 'all' and adjustment = 'none'"
        )
        for row in rows:
            key = (row["experiment_name"], row["metric_name"], row["treatment_variant"])
            if key not in effects:
                continue
            total += 1
            held += row["relative_ci_lower"] <= effects[key] <= row["relative_ci_upper"]
    assert total == WORLDS * len(effects)
    rate = held / total
    # outcomes of one world are correlated: five standard errors of independent ones
    margin = 5 * sqrt(0.95 * 0.05 / total)
    assert 0.95 - margin <= rate, f"{held} of {total} intervals hold the planted effect"
    assert rate < 1, "intervals that always hold are too wide"


def test_served_preferences_are_right_more_often_than_simpler_rules(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    """Popularity is that of the truth: the best that one value for all could be."""
    world = judged_world(
        tmp_path, project_dir, manifests, seed=99, users=500, select="+dim_user_preferences"
    )
    truth = pq.read_table(tmp_path / "truth" / "truth_preferences.parquet").to_pylist()
    popular = most_popular(truth)
    served, last_liked = (
        {(row["user_id"], row["dimension"], row["context"]): row["value"] for row in rows}
        for rows in (
            world.query("select * from marts.dim_user_preferences where kind = 'inferred'"),
            world.query(
                "select user_id, dimension, context, "
                "max_by(value, (occurred_at, event_id)) as value "
                "from intermediate.int_preference_signals where outcome = 1 group by all"
            ),
        )
    )
    over_popularity: dict[str, list[int]] = defaultdict(list)
    over_last_choice: dict[str, list[int]] = defaultdict(list)
    pseudonyms = {
        row["user_id"]: pseudonymize(world.workspace.home, row["user_id"]) for row in truth
    }
    for row in truth:
        key = (pseudonyms[row["user_id"]], row["dimension"], context_of(row))
        best = popular[row["dimension"], row["context"]]
        if key in served:
            is_right = served[key] == row["value"]
            # who never liked anything is served what is popular
            last = last_liked.get(key, best)
            over_popularity[row["user_id"]].append(int(is_right) - int(best == row["value"]))
            over_last_choice[row["user_id"]].append(int(is_right) - int(last == row["value"]))
    for rule, wins in (("popularity", over_popularity), ("last choice", over_last_choice)):
        mean, lower = mean_and_lower_bound(wins)
        assert lower > 0, f"gain over {rule} {mean:.3f}, lower bound {lower:.3f}"


def mean_and_lower_bound(wins: dict[str, list[int]]) -> tuple[float, float]:
    """The mean over users and the lower end of its 95% interval."""
    means = [sum(each) / len(each) for each in wins.values()]
    assert len(means) > 200
    mean = sum(means) / len(means)
    deviation = sqrt(sum((each - mean) ** 2 for each in means) / (len(means) - 1))
    return mean, mean - 1.96 * deviation / sqrt(len(means))


def most_popular(truth: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """The value that most users truly prefer, by dimension and context: the best constant guess."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in truth:
        counts[row["dimension"], row["context"]][row["value"]] += 1
    return {key: counter.most_common(1)[0][0] for key, counter in counts.items()}


def context_of(row: dict[str, Any]) -> str:
    """The context as the marts name it."""
    attribute = {"answer_format": "task.kind", "suggestion_style": "code.language"}
    if not row["context"]:
        return "all"
    return f"{attribute[row['dimension']]}={row['context']}"
