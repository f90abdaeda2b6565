"""What a step decides by what lies in the workspace."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.lib import steps
from orchestration.lib.home import Workspace, workspace_from

LOADED_AT = datetime.fromisoformat("2026-03-01T12:00:00")
NOTICED = LOADED_AT + timedelta(hours=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    found.inbox.mkdir()
    (found.lake / "batches").mkdir(parents=True)
    return found


def load(workspace: Workspace, file_name: str, loaded_at: datetime) -> None:
    target = workspace.lake / "batches" / f"{file_name}.parquet"
    with duckdb.connect() as lake:
        lake.execute(
            f"copy (select '{file_name}' as file_name, timestamp '{loaded_at}' as loaded_at) "
            f"to '{target}'"
        )


def write(workspace: Workspace, file_name: str, written_at: datetime) -> None:
    path = workspace.inbox / file_name
    path.write_text("{}\n")
    os.utime(path, times=(written_at.replace(tzinfo=UTC).timestamp(),) * 2)


def has_heard(workspace: Workspace, *, as_of: datetime = LOADED_AT) -> bool:
    with duckdb.connect() as built:
        built.execute("create schema intermediate")
        built.execute("create table intermediate.int_as_of as select $1 as as_of", [as_of])
        return steps._has_heard(built, workspace, NOTICED)


def test_a_build_has_heard_what_the_api_wrote_once_all_of_it_is_loaded_and_built(
    workspace: Workspace,
) -> None:
    load(workspace, "serve-1.jsonl", LOADED_AT)
    assert has_heard(workspace)
    assert not has_heard(workspace, as_of=LOADED_AT - HOUR)
    write(workspace, "serve-2.jsonl", NOTICED + HOUR)
    write(workspace, "telemetry.jsonl", NOTICED - HOUR)
    assert has_heard(workspace), "what was said since, and what others wrote, was not lost"
    write(workspace, "serve-3.jsonl", NOTICED - HOUR)
    assert not has_heard(workspace)


def test_any_build_has_heard_an_api_that_never_wrote(workspace: Workspace) -> None:
    load(workspace, "telemetry.jsonl", LOADED_AT)
    assert has_heard(workspace, as_of=LOADED_AT - HOUR)


def test_a_file_that_is_loaded_meanwhile_is_looked_for_in_the_lake(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, "serve-1.jsonl", NOTICED - HOUR)
    listed = steps.inbox_files(workspace)

    def taken_meanwhile(_: Workspace) -> list[Path]:
        load(workspace, "serve-1.jsonl", NOTICED + HOUR)
        (workspace.inbox / "serve-1.jsonl").unlink()
        return listed

    monkeypatch.setattr(steps, "inbox_files", taken_meanwhile)
    assert not has_heard(workspace)
