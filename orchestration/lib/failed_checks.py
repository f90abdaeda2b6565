"""Says which check failed, on which table, and where its SQL lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that did not pass in a run."""

    table: str
    check: str
    severity: str
    path: str

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.check} ({self.severity}) failed; its claim stands in {self.path}"
        )


def failed_checks(
    instance: dg.DagsterInstance, run_id: str, manifest: Mapping[str, Any]
) -> list[FailedCheck]:
    """Return the checks that failed in a run, in the order they ran."""
    paths = {
        node["name"]: node["original_file_path"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    }
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    found = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            found.append(
                FailedCheck(
                    table=evaluation.asset_key.to_user_string(),
                    check=evaluation.check_name,
                    severity=evaluation.severity.value.lower(),
                    path=paths.get(evaluation.check_name, "this code location"),
                )
            )
    return found


def failure_message(run_id: str, reason: str, checks: Sequence[FailedCheck]) -> str:
    """Write a failed run as a message: what failed, where, and what is safe."""
    lines = [f"run {run_id[:8]} failed: {reason}"]
    lines += [f"  {check}" for check in checks]
    if not checks:
        lines.append("  no check failed: a step did not finish; its log says why")
    lines.append(
        "  cache and published file are as before; correct the cause and run the job again"
    )
    return "\n".join(lines)
