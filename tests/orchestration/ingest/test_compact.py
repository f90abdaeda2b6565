"""Compaction: fewer files, the same rows, whatever moment it is cut off at."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration.ingest import IngestLockedError, compact, load_inbox, rotate_keys
from orchestration.ingest.errors import DiskFullError, SwitchError
from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.switch import PLAN, WORK
from tests.orchestration.ingest.otlp import Query, lines, log, request, span_request

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400 * 10**9
NANOS = 1_700_000_000_000_000_000
TABLES = ("log_records", "spans", "batches", "rejections")


def fill(home: Path, declarations: Path, files: int = 6) -> None:
    """Some files of two dates, in two loads with a rotation between."""
    for number in range(files):
        span = {"name": "s", "startTimeUnixNano": str(NANOS + number), "spanId": f"{number:016x}"}
        records = [
            log(f"e{number % 3}", nanos=NANOS + number + day * DAY, attributes={"user.id": "u-1"})
            for day in range(2)
        ]
        content = lines(request(*records), span_request(span)) + b"not json\n"
        (home / "inbox" / f"{number}.jsonl").write_bytes(content)
        load_inbox(home, declarations)
        if number == files // 2:
            rotate_keys(home)


def rows(query: Query) -> dict[str, list[tuple[Any, ...]]]:
    return {table: query(f"select * from {table} order by all") for table in TABLES}


def files(home: Path) -> dict[str, int]:
    """Parquet files that hold rows, by folder."""
    counts: dict[str, int] = {}
    for path in (home / "lake").rglob("*.parquet"):
        if path.name != "empty.parquet":
            folder = path.parent.relative_to(home / "lake").as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    return counts


def test_small_files_of_a_date_become_one_and_no_row_changes(
    home: Path, declarations: Path, query: Query
) -> None:
    fill(home, declarations)
    before = rows(query)
    changed = compact(home)
    assert rows(query) == before
    counts = files(home)
    assert counts.pop("batches") == 6
    assert set(counts.values()) == {1}
    assert {each.folder for each in changed} == {
        "log_records/event_date=2023-11-14",
        "log_records/event_date=2023-11-15",
        "spans/event_date=2023-11-14",
        "rejections",
        "pseudonym_links",
    }
    assert not (home / "lake" / PLAN).exists()
    assert not (home / "lake" / WORK).exists()


def test_a_second_compaction_does_nothing(home: Path, declarations: Path) -> None:
    fill(home, declarations)
    compact(home, target_rows=4)
    names = sorted(path.name for path in (home / "lake").rglob("*.parquet"))
    assert compact(home, target_rows=4) == []
    assert sorted(path.name for path in (home / "lake").rglob("*.parquet")) == names


def test_a_merged_file_has_the_types_and_the_order_of_the_lake(
    home: Path, declarations: Path
) -> None:
    fill(home, declarations)
    folder = home / "lake" / "log_records" / "event_date=2023-11-14"
    schema = pq.read_schema(next(folder.glob("*.parquet")))
    compact(home)
    (merged,) = folder.glob("*.parquet")
    assert pq.read_schema(merged).equals(schema)
    names = pq.read_table(merged)["event_name"].to_pylist()
    assert names == sorted(names)


def test_files_that_are_large_enough_stay(home: Path, declarations: Path) -> None:
    fill(home, declarations)
    folder = home / "lake" / "spans" / "event_date=2023-11-14"
    before = sorted(folder.iterdir())
    compact(home, target_rows=2)
    assert sorted(folder.iterdir()) == before
    compact(home, target_rows=3)
    assert len(list(folder.iterdir())) == 2


def test_one_date_can_be_named(home: Path, declarations: Path) -> None:
    fill(home, declarations)
    (changed,) = compact(home, day=date(2023, 11, 15))
    assert changed.folder == "log_records/event_date=2023-11-15"
    assert (changed.files_before, changed.files_after, changed.rows) == (6, 1, 6)
    assert compact(home, day=date(2000, 1, 1)) == []


def test_loads_go_on_after_it(home: Path, declarations: Path, query: Query) -> None:
    fill(home, declarations)
    compact(home)
    processed = min((home / "processed").iterdir())
    (home / "inbox" / "again.jsonl").write_bytes(processed.read_bytes())
    (home / "inbox" / "new.jsonl").write_bytes(lines(request(log("new"))))
    load_inbox(home, declarations)
    assert query("select count(*), count(distinct batch_id) from log_records") == [(13, 7)]
    compact(home)
    assert query("select count(*), count(distinct batch_id) from log_records") == [(13, 7)]


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether a copy of this process was killed before its nth change of the disk."""
    child = os.fork()
    if child == 0:
        seen = 0

        def counted(change: Callable[..., Any]) -> Callable[..., Any]:
            def changing(*arguments: Any, **more: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return change(*arguments, **more)

            return changing

        for name in ("replace", "unlink", "rmdir", "fsync", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_it_may_be_killed_at_any_change_of_the_disk(
    home: Path, declarations: Path, query: Query
) -> None:
    fill(home, declarations, files=3)
    before = rows(query)
    plans = step = 0
    while True:
        step += 1
        was_killed = killed_at(step, lambda: compact(home))
        if (home / "lake" / PLAN).exists():
            # no build may start now; the next load or compaction ends it
            plans += 1
            load_inbox(home, declarations)
        assert rows(query) == before, step
        assert not (home / "lake" / PLAN).exists()
        if not was_killed:
            break
    assert plans > 1
    assert files(home)["log_records/event_date=2023-11-14"] == 1


def test_a_plan_whose_files_are_gone_deletes_nothing(
    home: Path, declarations: Path, query: Query
) -> None:
    fill(home, declarations)
    before = rows(query)
    folder = "log_records/event_date=2023-11-14"
    (path, *_) = sorted((home / "lake" / folder).iterdir())
    (home / "lake" / PLAN).write_text(
        f'{{"moves": {{"x.parquet": "{folder}/x.parquet"}}, "deleted": ["{folder}/{path.name}"]}}'
    )
    with pytest.raises(SwitchError, match="nothing was deleted"):
        compact(home)
    assert rows(query) == before


def test_a_full_disk_leaves_the_lake_as_it_was(
    home: Path, declarations: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, declarations, files=2)
    before, counts = rows(query), files(home)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(DiskFullError, match="make room"):
        compact(home)
    assert (rows(query), files(home)) == (before, counts)


def test_no_compaction_while_an_ingest_runs(home: Path, declarations: Path) -> None:
    fill(home, declarations, files=2)
    before = files(home)
    with one_ingest_at_a_time(Home(home)), pytest.raises(IngestLockedError):
        compact(home)
    assert files(home) == before


def test_no_switch_while_another_process_has_the_warehouse_open(
    home: Path, declarations: Path, tmp_path: Path
) -> None:
    fill(home, declarations, files=2)
    warehouse = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(warehouse)).close()
    before = files(home)
    hold = (
        "import duckdb, sys; connection = duckdb.connect(sys.argv[1]); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as build:
        assert build.stdout is not None
        assert build.stdout.readline() == b"open\n"
        with pytest.raises(SwitchError, match="is in use"):
            compact(home, warehouse=warehouse)
        build.communicate()
    assert files(home) == before
    assert compact(home, warehouse=warehouse)
