"""A compacted lake builds the same tables, and builds none of them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestration.ingest.switch import PLAN
from orchestration.lib import steps
from orchestration.lib.errors import BuildError
from tests.end_to_end.test_incremental_equals_full_refresh import build, differences, marts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest


def versions(workspace: WorkspaceUnderTest) -> list[dict[str, object]]:
    """What each date is made from: a date with another version is built anew."""
    return workspace.query(
        "select event_date, version from intermediate.int_event_date_versions order by all"
    )


def test_no_mart_tells_that_the_lake_was_compacted(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    under_test = workspace()
    under_test.simulate(users=12, days=3)
    for path in sorted(under_test.workspace.inbox.iterdir()):
        lines = path.read_bytes().splitlines(keepends=True)
        path.unlink()
        for part in range(3):
            under_test.drop(f"{part}-{path.name}", b"".join(lines[part::3]))
    under_test.ingest()
    build(under_test)
    before, versions_before = marts_of(under_test), versions(under_test)
    steps.publish(under_test.workspace)
    steps.report(under_test.workspace)
    steps.record_run(under_test.workspace)

    changed = steps.compact(under_test.workspace)

    assert sum(each.files_before - each.files_after for each in changed) > 0
    assert steps.is_up_to_date(under_test.workspace)
    build(under_test)
    assert versions(under_test) == versions_before
    assert not differences(marts_of(under_test), before, set())

    plan = under_test.workspace.lake / PLAN
    plan.write_text("{}")
    with pytest.raises(BuildError, match="run `attune compact` to finish it"):
        build(under_test)
