"""Erasing takes a user out of every file, and changes no mart that had left the user out already."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import duckdb
import pytest

from orchestration.ingest import pseudonymize
from orchestration.lib import runs, steps
from orchestration.lib.progress import Stages
from tests.end_to_end.test_incremental_equals_full_refresh import (
    ABOUT_ERASURES,
    build,
    differences,
    marts_of,
)
from tests.orchestration.ingest.otlp import lines, log, request
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400 * 10**9
START = 1_772_409_600 * 10**9
USER, DEVICE, OTHER = "user-forget-me-71", "device-forget-me-71", "user-stays-5"
# as the value of an attribute that nobody declared private
SECRET = "q7Zk9vXw3LmT8rBn2HcJ5sYd"


def event(name: str, unit: str, *, at: int, **attributes: str) -> bytes:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return lines(request(log(name, nanos=START + at, attributes={"user.id": unit, **named})))


def shown(unit: str, *, at: int, note: str = "plain") -> bytes:
    return event("assistant.response.shown", unit, at=at, response__id=f"r{at}", note=note)


def before_the_request() -> list[bytes]:
    both_days = [shown(USER, at=5 + number * DAY, note=SECRET) for number in range(2)]
    return [
        *both_days,
        both_days[0],
        shown(OTHER, at=7),
        shown(DEVICE, at=11, note=SECRET),
        event("user.identified", USER, at=13, identity__anonymous_id=DEVICE),
        event(
            "user.consent.changed",
            USER,
            at=17,
            consent__purpose="measurement",
            consent__granted="x",
        ),
        # refused, and names the user
        f'{{"resourceLogs": 7, "who": "{USER}", "note": "{SECRET}"}}\n'.encode(),
        f'{{"resourceLogs": 7, "who": "{OTHER}"}}\n'.encode(),
    ]


@pytest.fixture
def told(tmp_path: Path, project_dir: Path, manifests: ManifestCache) -> WorkspaceUnderTest:
    """A small world, a user in it who asks to be forgotten, and others who do not."""
    under_test = make_workspace(tmp_path, project_dir, manifests)
    under_test.simulate(users=12, days=2)
    under_test.drop("told.jsonl", b"".join(before_the_request()))
    under_test.drop("again.jsonl.gz", gzip.compress(shown(USER, at=5, note=SECRET)))
    under_test.drop("of-others.jsonl", shown(OTHER, at=23))
    under_test.ingest()
    build(under_test)
    under_test.drop(
        "request.jsonl",
        event("user.erasure.requested", USER, at=2 * DAY) + shown(USER, at=3 * DAY, note="back"),
    )
    under_test.ingest()
    build(under_test)
    return under_test


def files_with(under_test: WorkspaceUnderTest, text: str) -> set[str]:
    """Which files hold a text, unpacked where they are packed."""
    home = under_test.workspace.home
    found = set()
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = str(duckdb.sql(f"select * from '{path}'").fetchall()).encode()
        elif path.suffix == ".gz":
            content = gzip.decompress(content)
        if text.encode() in content:
            found.add(path.relative_to(home).as_posix())
    return found


def test_nothing_of_an_erased_user_is_left_and_no_mart_tells(
    told: WorkspaceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = marts_of(told)
    holding = {name.partition("/")[0] for name in files_with(told, SECRET)}
    assert holding == {"lake", "processed", "rejected", "warehouse.duckdb"}
    (request_before,) = told.query("select * from marts.rpt_erasure_requests")
    assert request_before["user_id"] == pseudonymize(told.workspace.home, USER)
    assert (request_before["is_done"], request_before["records_left"]) == (False, 4)

    def cut_off(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(runs, "rewrite", cut_off)
        with pytest.raises(KeyboardInterrupt):
            runs.erase(told.workspace, Stages())
    # the next run finishes what the first began, though the lake has nothing left to erase
    report = runs.erase(told.workspace, Stages())

    assert (report.rows, report.is_rewritten) == (0, True)
    assert files_with(told, SECRET) == set()
    assert files_with(told, USER) == {"processed/request.jsonl"}
    kept = {name.partition("/")[0] for name in files_with(told, OTHER)}
    assert kept == {"processed", "rejected"}
    build(told)
    after = marts_of(told)
    assert not differences(after, before, ABOUT_ERASURES)
    (request_after,) = told.query("select * from marts.rpt_erasure_requests")
    assert (request_after["is_done"], request_after["records_left"]) == (True, 0)
    assert_balanced(told)

    told.drop("late.jsonl", shown(USER, at=29) + shown(DEVICE, at=31) + shown(USER, at=5))
    told.ingest()
    build(told)
    assert not differences(marts_of(told), after, ABOUT_ERASURES)
    (late,) = told.query("select * from marts.rpt_telemetry_ledger where file_name = 'late.jsonl'")
    assert (late["accepted"], late["duplicate"], late["suppressed"]) == (0, 0, 3)
    erased = steps.erase_records(told.workspace)
    assert (erased.rows, erased.raw_files, erased.raw_lines) == (3, 1, 0)
    build(told)
    assert_balanced(told)
    assert steps.erase_records(told.workspace).rows == 0


def assert_balanced(told: WorkspaceUnderTest) -> None:
    for row in told.query("select * from marts.rpt_telemetry_ledger"):
        fates = row["accepted"] + row["duplicate"] + row["rejected"] + row["suppressed"]
        assert row["records_in"] == fates, row
