"""Erasing a user equals never having seen them, in everything that preferences rest on."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestration.ingest import pseudonymize
from orchestration.lib import dbt_runner
from simulator import simulate
from tests.orchestration.ingest.otlp import lines, log, request
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

START = date(2026, 3, 2)
DAYS = 5
AS_OF = "2100-01-01T00:00:00"
MODELS = (
    "int_preference_priors",
    "int_preference_segment_priors",
    "fct_preference_scores",
    "dim_user_preferences",
    "fct_preference_changes",
    "rpt_preference_quality",
    "rpt_preference_drift",
    "rpt_preference_diversity",
)


def of_user(line: bytes, user: str) -> bool:
    """Whether a line of one record is about the user."""
    return f'"{user}"'.encode() in line


def one_record_lines(folder: Path) -> list[bytes]:
    """The log records of a simulated world, each as a line of its own."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            for resource in told.get("resourceLogs", []):
                for scope in resource["scopeLogs"]:
                    found += [lines(request(record)) for record in scope["logRecords"]]
    return found


def built(world: WorkspaceUnderTest, content: list[bytes], *, step: str) -> None:
    world.drop(f"{step}.jsonl", b"".join(content))
    world.ingest()
    result = dbt_runner.run_dbt(
        world.workspace,
        [
            "build",
            "--select",
            *(f"+{model}" for model in MODELS),
            "--exclude-resource-type",
            "test",
            "--exclude-resource-type",
            "unit_test",
            "--vars",
            json.dumps({"as_of": AS_OF}),
        ],
        manifest=world.manifests.manifest_for(world.workspace),
    )
    assert result.success


def tables_of(world: WorkspaceUnderTest) -> dict[str, list[dict[str, Any]]]:
    (schemas,) = [
        {
            row["table_name"]: row["table_schema"]
            for row in world.query("select table_name, table_schema from information_schema.tables")
        }
    ]
    return {
        name: world.query(f"select * from {schemas[name]}.{name} order by all") for name in MODELS
    }


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-15)
    return bool(left == right)


def test_erasing_a_user_equals_never_having_seen_them(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    simulate(tmp_path / "world", users=40, days=DAYS, start=START, seed=21)
    told = one_record_lines(tmp_path / "world")
    seen = make_workspace(tmp_path / "seen", project_dir, manifests)
    built(seen, told, step="all")
    # who says most about preferences, under one id
    (most,) = seen.query(
        "select user_id from marts.fct_preference_scores "
        "inner join marts.dim_users using (user_id) where linked_id_count = 0 "
        "group by user_id order by sum(evidence_count) desc, user_id limit 1"
    )
    (user,) = (
        name
        for name in (f"user-{number:07d}" for number in range(1, 41))
        if pseudonymize(seen.workspace.home, name) == most["user_id"]
    )
    before = tables_of(seen)
    end = datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=DAYS + 1)
    erasure = log(
        "user.erasure.requested",
        nanos=int(end.timestamp()) * 10**9,
        attributes={"user.id": user},
    )
    built(seen, [lines(request(erasure))], step="erasure")

    never = make_workspace(tmp_path / "never", project_dir, manifests)
    never.workspace.key_file.write_bytes(seen.workspace.key_file.read_bytes())
    never.workspace.key_file.chmod(0o600)
    built(never, [line for line in told if not of_user(line, user)], step="others")

    erased, unseen = tables_of(seen), tables_of(never)
    assert before["fct_preference_scores"] != erased["fct_preference_scores"]
    for name in MODELS:
        assert len(erased[name]) == len(unseen[name]), name
        for left, right in zip(erased[name], unseen[name], strict=True):
            assert all(same(left[column], right[column]) for column in left), (name, left, right)
