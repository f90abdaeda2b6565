"""Real accept and reject decisions, each predicted from the user's earlier ones and other users.

The warehouse's numbers are compared with a computation of their own, and with what is known of the
data: the user in the context is worth something, the user alone is not, with so few users.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.lib import dbt_runner
from tests.end_to_end.copilot_cups import decisions, declarations, telemetry
from tests.end_to_end.test_real_data import overlay
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHRINKAGE = 20.0
LEAST, MOST = 1.0, 1000.0
MODELS_ONLY = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]

pytestmark = pytest.mark.xdist_group("copilot_cups_preferences")


@pytest.fixture(scope="module")
def content(shared_dir: Path) -> bytes:
    return telemetry(shared_dir / "real" / "copilot_cups" / "telemetry.jsonl.gz")


@pytest.fixture(scope="module")
def cups(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    content: bytes,
) -> WorkspaceUnderTest:
    workspace = make_workspace(
        tmp_path_factory.mktemp("cups"),
        project_dir,
        manifests,
        overrides=overlay("copilot_cups") | declarations(),
    )
    workspace.drop("telemetry.jsonl", content)
    workspace.ingest()
    result = dbt_runner.run_dbt(
        workspace.workspace,
        ["build", "--select", "+rpt_preference_quality", *MODELS_ONLY],
        manifest=manifests.manifest_for(workspace.workspace),
    )
    failed = [node for node in result.result.results if str(node.status) != "success"]
    assert not failed, [f"{node.node.name}: {node.message}" for node in failed]
    return workspace


@pytest.fixture(scope="module")
def prequential(cups: WorkspaceUnderTest) -> dict[str, dict[str, Any]]:
    rows = cups.query("select * from marts.rpt_preference_quality where cut = 'prequential'")
    return {row["model"]: row for row in rows}


def strength(counts: Iterable[tuple[float, float]]) -> float:
    """Kleinman's strength of (successes, trials) of users, between the declared bounds."""
    pairs = list(counts)
    total = sum(n for _, n in pairs)
    mean = sum(k for k, _ in pairs) / total
    within = mean * (1 - mean)
    between = sum(n * (k / n - mean) ** 2 for k, n in pairs)
    correlation = (between - within * (len(pairs) - 1)) / (
        within * (total - sum(n * n for _, n in pairs) / total - (len(pairs) - 1))
    )
    return min(max(1 / correlation - 1, LEAST), MOST) if correlation > 0 else MOST


def gains(rows: list[tuple[int, str, str, int]]) -> dict[str, dict[str, float]]:
    """Nats per user that each model saves over the other users' global rate."""
    in_context: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    of_user: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for _, user, context, outcome in rows:
        for counts in (in_context[user, context], of_user[user]):
            counts[0] += outcome
            counts[1] += 1
    saved: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    seen: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for _, user, context, outcome in rows:
        others = [(k, n) for u, (k, n) in of_user.items() if u != user]
        here = [(k, n) for (u, c), (k, n) in in_context.items() if u != user and c == context]
        rate = sum(k for k, _ in others) / sum(n for _, n in others)
        shrunk = (sum(k for k, _ in here) + SHRINKAGE * rate) / (
            sum(n for _, n in here) + SHRINKAGE
        )
        mine, mine_here = seen[user, ""], seen[user, context]
        user_strength, here_strength = strength(others), strength(here)
        predicted = {
            "context": shrunk,
            "user": (mine[0] + user_strength * rate) / (mine[1] + user_strength),
            "user_context": (mine_here[0] + here_strength * shrunk)
            / (mine_here[1] + here_strength),
        }
        for model, share in predicted.items():
            saved[model][user] += math.log(
                (share if outcome else 1 - share) / (rate if outcome else 1 - rate)
            )
        for counts in (mine, mine_here):
            counts[0] += outcome
            counts[1] += 1
    return saved


@pytest.mark.parametrize("model", ["context", "user", "user_context"])
def test_gains_are_those_of_another_program(
    prequential: dict[str, dict[str, Any]], content: bytes, model: str
) -> None:
    rows = decisions(content)
    assert len(rows) == prequential[model]["weight"] == 1096
    saved = gains(rows)[model]
    mean = sum(saved.values()) / len(rows)
    assert prequential[model]["gain"] == pytest.approx(mean, rel=1e-9)
    decided = Counter(user for _, user, _, _ in rows)
    spread = sum((saved[user] - mean * count) ** 2 for user, count in decided.items())
    users = len(decided)
    error = 1.959963984540054 * math.sqrt(spread * users / (users - 1)) / len(rows)
    assert prequential[model]["gain_ci_lower"] == pytest.approx(mean - error, rel=1e-9)
    assert prequential[model]["gain_ci_upper"] == pytest.approx(mean + error, rel=1e-9)


def test_the_user_in_the_context_is_worth_something(
    prequential: dict[str, dict[str, Any]],
) -> None:
    row = prequential["user_context"]
    assert row["gain"] >= 0.045
    assert row["gain_ci_lower"] > 0.02
    assert row["is_significant"]


def test_the_user_alone_is_reported_as_not_significant(
    prequential: dict[str, dict[str, Any]],
) -> None:
    row = prequential["user"]
    assert row["gain_ci_lower"] < 0 < row["gain_ci_upper"]
    assert not row["is_significant"]
    assert "not significant" in row["reason"]


def test_so_few_users_pass_no_gate(cups: WorkspaceUnderTest) -> None:
    statuses = cups.query("select distinct status from marts.rpt_preference_quality")
    assert statuses == [{"status": "not_applicable"}]
