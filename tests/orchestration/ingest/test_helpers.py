"""However many processes help, the lake and the ledger are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orchestration.ingest import IngestError, load_inbox, rotate_keys
from orchestration.ingest.helpers import Helpers, _Helper
from orchestration.ingest.home import Home
from tests.orchestration.ingest.otlp import lines, log, request

NOW = datetime(2026, 3, 5, tzinfo=UTC)
BLOCK_BYTES = 4_000


def content(requests: int = 60) -> bytes:
    """Lines of several users and days, among them broken ones and records without a time."""
    found = []
    for number in range(requests):
        nanos = 1_772_409_600 * 10**9 + number * 3_600 * 10**9
        records = [
            log(
                "assistant.suggestion.shown",
                nanos=0 if (number + each) % 11 == 0 else nanos + each,
                attributes={
                    "user.id": f"u{number}-{each % 2}",
                    "suggestion.id": f"{number}-{each}",
                },
            )
            for each in range(5)
        ]
        found.append(lines(request(*records)))
        if number % 7 == 0:
            found.append(b'{"resourceLogs": [{"broken\n')
    return b"".join(found)


def home_with(folder: Path, key_file: Path | None, *files: bytes) -> Path:
    inbox = folder / "inbox"
    inbox.mkdir(parents=True)
    for number, each in enumerate(files):
        (inbox / f"{number}.jsonl").write_bytes(each)
    if key_file is not None:
        (folder / "key.json").write_bytes(key_file.read_bytes())
        (folder / "key.json").chmod(0o600)
    return folder


def lake(home: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of the lake, in no order."""
    found = {}
    for table in ("log_records", "spans", "batches", "rejections", "pseudonym_links"):
        files = sorted((home / "lake" / table).rglob("*.parquet"))
        rows = [row for path in files for row in pq.read_table(path).to_pylist()]
        found[table] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=str))
    kept = sorted(Home(home).rejected.iterdir())
    found["kept"] = [{"name": path.name, "bytes": path.read_bytes()} for path in kept]
    return found


@pytest.fixture
def all_help(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let no block be made before every helper is there; the lines that they were given."""
    started, given = Helpers._started, []

    def ready(self: Helpers) -> Any:
        found = started(self)
        for helper in found:
            while not helper.is_ready:
                helper.take()
        return found

    give = _Helper.give

    def counted(self: _Helper, task: Any, stamp: Any) -> None:
        given.append(len(task.block.lines))
        give(self, task, stamp)

    monkeypatch.setattr(Helpers, "_started", ready)
    monkeypatch.setattr(_Helper, "give", counted)
    return given


@pytest.mark.parametrize("helpers", [1, 3])
def test_the_lake_is_the_same_however_many_help(
    tmp_path: Path, declarations: Path, helpers: int, all_help: list[int]
) -> None:
    files = content(), content(40) + b'{"resourceLogs": []}'
    alone = home_with(tmp_path / "alone", None, b"")
    load_inbox(alone, declarations, loaded_at=NOW, helpers=0)
    # pseudonyms of a rotated key have links, which must come back from the helpers
    rotate_keys(alone, now=NOW)
    helped = home_with(tmp_path / "helped", alone / "key.json", b"")
    load_inbox(helped, declarations, loaded_at=NOW, helpers=0)
    reports = {}
    for home, count in ((alone, 0), (helped, helpers)):
        for number, each in enumerate(files):
            (home / "inbox" / f"{number}.jsonl").write_bytes(each)
        reports[home] = load_inbox(
            home, declarations, loaded_at=NOW, helpers=count, large_file=1, block_bytes=BLOCK_BYTES
        )
    assert reports[helped].files == reports[alone].files
    assert reports[alone].well_formed > 300
    assert sum(all_help) == sum(report.lines for report in reports[helped].files)
    expected = lake(alone)
    assert lake(helped) == expected
    assert all(
        expected[table] for table in ("log_records", "rejections", "pseudonym_links", "kept")
    )


def test_a_helper_that_ends_is_an_error_that_leaves_nothing(
    tmp_path: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(tmp_path, None, content())
    started = Helpers._started

    def killed(self: Helpers) -> Any:
        found = started(self)
        for helper in found:
            helper.take()
            os.kill(helper.process.pid, signal.SIGKILL)
        return found

    monkeypatch.setattr(Helpers, "_started", killed)
    with pytest.raises(IngestError, match=r"ended by itself \(exit code -9.*run ingest again"):
        load_inbox(home, declarations, helpers=1, large_file=1, block_bytes=BLOCK_BYTES)
    assert lake(home)["log_records"] == []
    monkeypatch.undo()
    assert load_inbox(home, declarations).well_formed > 200


def test_helpers_end_with_the_process_that_they_help(tmp_path: Path, declarations: Path) -> None:
    home = home_with(tmp_path, None, *([content(400)] * 1))
    script = (
        "import sys, time; from pathlib import Path; from orchestration.ingest import load_inbox\n"
        "if __name__ == '__main__':\n"
        "    load_inbox(Path(sys.argv[1]), Path(sys.argv[2]), helpers=2, large_file=1,\n"
        "               block_bytes=2_000, progress=lambda _: time.sleep(0.2))\n"
    )
    path = tmp_path / "load.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    loading = subprocess.Popen(
        [sys.executable, str(path), str(home), str(declarations)], env=environment
    )
    children = Path(f"/proc/{loading.pid}/task/{loading.pid}/children")
    deadline = time.monotonic() + 60
    helpers: list[int] = []
    while len(helpers) < 2 and time.monotonic() < deadline:
        helpers = [int(pid) for pid in children.read_text().split()]
        time.sleep(0.05)
    assert len(helpers) == 2
    loading.kill()
    loading.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in helpers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in helpers)
    assert load_inbox(home, declarations).well_formed > 1_000
