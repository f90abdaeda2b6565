"""A user stays one user when the key of pseudonyms rotates between two loads."""

from __future__ import annotations

import shutil
from datetime import date
from typing import TYPE_CHECKING

from orchestration.ingest import pseudonyms, rotate_keys
from orchestration.lib import steps
from serving.client import Client
from simulator import simulate
from tests.end_to_end.test_incremental_equals_full_refresh import (
    ABOUT_FILES,
    build,
    differences,
    ids_in,
    marts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.workspaces import WorkspaceUnderTest

DAYS = 4
# its attributes are as they were loaded, pseudonyms under the key of that load included
AS_LOADED = {"fct_events"}


def load(workspace: WorkspaceUnderTest, files: list[Path]) -> None:
    for path in files:
        workspace.drop(path.name, path.read_bytes())
    workspace.ingest()


def test_every_mart_is_what_it_would_be_without_a_rotation(
    tmp_path: Path, workspace: Callable[..., WorkspaceUnderTest]
) -> None:
    world = tmp_path / "world"
    simulate(world, users=16, days=DAYS, start=date(2026, 3, 2), seed=3)
    files = sorted(world.glob("*.jsonl"))
    assert len(files) >= DAYS

    plain = workspace("plain")
    load(plain, files)
    build(plain)

    rotated = workspace("rotated")
    shutil.copy(plain.workspace.key_file, rotated.workspace.key_file)
    load(rotated, files[:2])
    build(rotated)
    rotate_keys(rotated.workspace.home)
    load(rotated, files[2:3])
    rotate_keys(rotated.workspace.home)
    load(rotated, files[3:])
    build(rotated)

    ignored = ABOUT_FILES | AS_LOADED
    expected = marts_of(plain)
    assert not differences(marts_of(rotated), expected, ignored)
    users = {row["user_id"] for row in rotated.query("select user_id from marts.dim_users")}
    in_lake = rotated.query("select count(distinct user_id) as users from lake.log_records")
    assert in_lake[0]["users"] > len(users)

    rotated.workspace.warehouse.unlink()
    build(rotated)
    assert not differences(marts_of(rotated), expected, ignored)

    steps.sync(rotated.workspace)
    profiles = rotated.query("select user_id from serving.hot_user_profiles")
    served = {row["user_id"] for row in profiles}
    raw = next(
        each
        for each in ids_in(files[0].read_bytes().splitlines(), "user.id")
        if pseudonyms(rotated.workspace.home, each)[-1] in served
    )
    with Client(rotated.workspace.cache_url) as client:
        for name in (raw, *pseudonyms(rotated.workspace.home, raw)):
            called = steps.pseudonyms_of(rotated.workspace, name)
            assert any(client.explain_user(each)["is_known"] for each in called), name
