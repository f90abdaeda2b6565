"""Experiments on organizations: users of one are alike, and the error says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from orchestration.lib import dbt_runner
from tests.orchestration.ingest.otlp import lines, log, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest

ORGANIZATIONS, USERS, SUGGESTIONS = 40, 5, 12
SECOND = 1_000_000_000
START = 1_772_409_600 * SECOND  # 2026-03-02
DECLARED = {
    "experiments/experiments.csv": (
        "experiment_name,unit,control_variant,started_at,ended_at,inference,planned_units\n"
        "rollout,organization,off,2026-03-02,2026-03-30,fixed,40\n"
    ),
    "experiments/experiment_variants.csv": (
        "experiment_name,variant,allocation\nrollout,off,0.5\nrollout,on,0.5\n"
    ),
    "experiments/experiment_metrics.csv": (
        "experiment_name,metric_name,role\nrollout,acceptance_rate,success\n"
    ),
    "catalog/consent_purposes.csv": (
        "purpose,granted_by_default,description\noperations,true,\nmeasurement,true,\n"
        "personalization,true,\n"
    ),
}
MODELS_ONLY = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]


def telemetry(seed: int) -> tuple[bytes, dict[str, list[tuple[int, int]]]]:
    """Telemetry of organizations that differ much, and per variant their (accepted, decided)."""
    random = np.random.default_rng(seed)
    records: list[Any] = []
    totals: dict[str, list[tuple[int, int]]] = {"off": [], "on": []}
    for organization in range(ORGANIZATIONS):
        variant = ("off", "on")[organization % 2]
        rate = random.beta(2, 3)
        accepted = decided = 0
        for user in range(1 + organization % USERS):
            context = {
                "user.id": f"u-{organization}-{user}",
                "organization.id": f"o-{organization}",
                "session.id": f"s-{organization}-{user}",
            }
            at = START + (organization * 100 + user) * SECOND
            exposure = {"feature_flag.key": "rollout", "feature_flag.result.variant": variant}
            records.append(
                log("feature_flag.evaluation", nanos=at, attributes={**context, **exposure})
            )
            for number in range(SUGGESTIONS):
                at += 60 * SECOND
                suggestion = {**context, "suggestion.id": f"{organization}-{user}-{number}"}
                records.append(log("assistant.suggestion.shown", nanos=at, attributes=suggestion))
                is_accepted = bool(random.random() < rate)
                word = "accepted" if is_accepted else "rejected"
                records.append(
                    log(f"assistant.suggestion.{word}", nanos=at + SECOND, attributes=suggestion)
                )
                accepted += is_accepted
                decided += 1
        totals[variant].append((accepted, decided))
    return lines(request(*records, resource={"service.name": "editor"})), totals


def clustered(totals: list[tuple[int, int]]) -> tuple[float, float]:
    """Rate and its variance, errors clustered on the organization (Liang and Zeger 1986)."""
    accepted, decided = np.array(totals, dtype=float).T
    rate = accepted.sum() / decided.sum()
    residuals = accepted - rate * decided
    clusters = len(totals)
    return rate, clusters / (clusters - 1) * (residuals @ residuals) / decided.sum() ** 2


def test_errors_are_clustered_on_the_organization(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    content, totals = telemetry(seed=3)
    world = workspace(overrides=DECLARED)
    world.drop("organizations.jsonl", content)
    world.ingest()
    result = dbt_runner.run_dbt(
        world.workspace,
        ["build", "--select", "+rpt_experiment_results", *MODELS_ONLY],
        manifest=world.manifests.manifest_for(world.workspace),
    )
    assert result.success
    (row,) = world.query(
        "select * from marts.rpt_experiment_results "
        "where segment_name = 'all' and adjustment = 'none'"
    )
    assert (row["control_units"], row["treatment_units"]) == (20, 20)
    (off, off_variance), (on, on_variance) = clustered(totals["off"]), clustered(totals["on"])
    error = (off_variance + on_variance) ** 0.5
    assert row["absolute_effect"] == pytest.approx(on - off, rel=1e-9)
    assert row["absolute_std_error"] == pytest.approx(error, rel=1e-9)
    freedom = error**4 / (off_variance**2 / 19 + on_variance**2 / 19)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs((on - off) / error), freedom))
    # as if every suggestion were on its own, the error would be far too small
    decided = sum(each for _, each in totals["off"]), sum(each for _, each in totals["on"])
    naive = (off * (1 - off) / decided[0] + on * (1 - on) / decided[1]) ** 0.5
    assert row["absolute_std_error"] > 2 * naive
