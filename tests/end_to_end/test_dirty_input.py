"""Every fault that telemetry meets, from the inbox to the ledger: the counts given with the data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

# what the data's own tables declare and attune's plan does not
DECLARED_BY_THE_DATA = """\
assistant.suggestion.shown,suggestion.confidence,double,false,none,measurement,
assistant.suggestion.rejected,suggestion.length,integer,false,none,measurement,
first_token,token.number,integer,false,none,operations,Part of a span
"""

pytestmark = pytest.mark.xdist_group("dirty_input")


@pytest.fixture(scope="module")
def expected(shared_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (shared_dir / "real" / "dirty" / "expected.json").read_text()
    )
    return found


@pytest.fixture(scope="module")
def dirty(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    plan = "catalog/tracking_plan.csv"
    declared = (project_dir / "seeds" / "declarations" / plan).read_text()
    workspace = make_workspace(
        tmp_path_factory.mktemp("dirty"),
        project_dir,
        manifests,
        overrides={plan: declared + DECLARED_BY_THE_DATA},
    )
    workspace.drop_folder(shared_dir / "real" / "dirty")
    workspace.ingest()
    workspace.build()
    return workspace


def test_every_record_of_every_file_is_where_it_should_be(
    dirty: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    rows = dirty.query("select * from marts.rpt_telemetry_ledger")
    assert {
        row["file_name"]: (
            row["records_in"],
            row["accepted"],
            row["duplicate"],
            row["rejected"],
            row["suppressed"],
        )
        for row in rows
    } == {
        name: (
            file["records_in"],
            file["accepted"],
            file["duplicates"],
            sum(file["rejected"].values()),
            0,
        )
        for name, file in expected["files"].items()
    }


def test_every_rejected_and_reported_record_is_named_with_its_reason(
    dirty: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    rows = dirty.query("select * from marts.rpt_telemetry_problems")
    found = {
        (row["file_name"], row["outcome"], row["problem"]): row["record_count"]
        for row in rows
        # the data knows no required attributes, attune's plan does
        if row["problem"] != "missing_required"
    }
    assert found == {
        (name, outcome, problem): count
        for name, file in expected["files"].items()
        for outcome in ("rejected", "reported")
        for problem, count in file[outcome].items()
    }
