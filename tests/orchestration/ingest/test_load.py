"""Batches are atomic, private, and loaded one at a time, whatever interrupts a load."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from orchestration.ingest import (
    IngestLockedError,
    Progress,
    delete_raw,
    ensure_lake,
    load_inbox,
    replay,
)
from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.lake import BatchWriter
from orchestration.ingest.schema import BATCHES, LOG_RECORDS, REJECTIONS, SPANS
from tests.orchestration.ingest.otlp import Query, lines, log, request, span_request

DAY_NANOS = 86_400_000_000_000


class Killed(BaseException):
    """Stands for the end of the process at this point."""


def three_days(name: str) -> bytes:
    return b"not json\n" + lines(
        request(
            *(log(name, nanos=1_700_000_000_000_000_000 + day * DAY_NANOS) for day in range(3))
        ),
        span_request({"name": name, "startTimeUnixNano": "1700000000000000000"}),
        request(log(name, nanos=1)),
    )


def state(home: Path, query: Query) -> dict[str, Any]:
    return {
        "logs": query("select event_name, count(*) from log_records group by all order by all"),
        "spans": query("select span_name, count(*) from spans group by all order by all"),
        "rejections": query(
            "select file_name, line_number, record_number, reason from rejections "
            "join batches using (batch_id, file_name) order by all"
        ),
        "batches": query("select file_name, records_in from batches order by all"),
        "kept": sorted(
            (entry["line_number"], entry["reason"])
            for path in (home / "rejected").glob("*.jsonl")
            for entry in map(json.loads, path.read_text().splitlines())
        ),
        "processed": sorted(path.name for path in (home / "processed").iterdir()),
        "inbox": sorted(path.name for path in (home / "inbox").iterdir()),
    }


def test_an_empty_lake_has_typed_tables(home: Path) -> None:
    ensure_lake(home)
    ensure_lake(home)
    for table, schema in (
        ("log_records/event_date=1970-01-01", LOG_RECORDS),
        ("spans/event_date=1970-01-01", SPANS),
        ("batches", BATCHES),
        ("rejections", REJECTIONS),
    ):
        path = home / "lake" / table / "empty.parquet"
        assert pq.read_schema(path).names == schema.names
        assert pq.ParquetFile(path).metadata.num_rows == 0


def test_an_empty_inbox_loads_nothing(home: Path, declarations: Path, query: Query) -> None:
    report = load_inbox(home, declarations)
    assert (report.files, report.records_in, report.rejected) == ([], 0, {})
    assert query("select count(*) from log_records") == [(0,)]


def test_timestamps_are_microseconds_without_zone_and_rows_are_sorted(
    home: Path, declarations: Path
) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(
        lines(request(log("b"), log("a", nanos=1_700_000_000_000_002_000), log("a")))
    )
    report = load_inbox(home, declarations)
    path = next((home / "lake" / "log_records").glob(f"*/{report.batch_ids[0]}.parquet"))
    file = pq.ParquetFile(path)
    logical = json.loads(file.schema.column(2).logical_type.to_json())
    assert (logical["isAdjustedToUTC"], logical["timeUnit"]) == (False, "microseconds")
    rows = file.read().to_pylist()
    assert [(row["event_name"], row["record_number"]) for row in rows] == [
        ("a", 2),
        ("a", 1),
        ("b", 0),
    ]
    assert "event_date" not in file.schema_arrow.names
    assert path.parent.name == "event_date=2023-11-14"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_packed_file_that_breaks_off_is_refused_as_a_whole(
    home: Path, declarations: Path, query: Query, pack: Any
) -> None:
    suffix = "gz" if pack is gzip.compress else "zst"
    whole = pack(
        b"".join(
            lines(request(log(f"event-{n}", body={"stringValue": os.urandom(40).hex()})))
            for n in range(200)
        )
    )
    (home / "inbox" / f"a.jsonl.{suffix}").write_bytes(whole[: len(whole) // 2])
    (home / "inbox" / f"b.jsonl.{suffix}").write_bytes(whole)
    (home / "inbox" / f"c.jsonl.{suffix}").write_bytes(whole + whole)
    (home / "inbox" / f"d.jsonl.{suffix}").write_bytes(b"")
    (home / "inbox" / f"e.jsonl.{suffix}").write_bytes(b"this is not packed")
    report = load_inbox(home, declarations, block_bytes=2_000)
    assert [(file.lines, file.records_in, file.rejected) for file in report.files] == [
        (0, 1, {"truncated_file": 1}),
        (200, 200, {}),
        (400, 400, {}),
        (0, 1, {"truncated_file": 1}),
        (0, 1, {"unreadable_file": 1}),
    ]
    assert query("select count(*) from log_records") == [(600,)]


def test_raw_text_is_private(home: Path, declarations: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (home / "inbox" / name).write_bytes(three_days(name) + b'{"caf\xe9"}\n')
        (home / "inbox" / name).chmod(0o666)
    load_inbox(home, declarations)
    (home / "inbox" / "a.jsonl").write_bytes(three_days("other"))
    load_inbox(home, declarations)
    paths = [*(home / "processed").iterdir(), *(home / "rejected").iterdir()]
    assert len(paths) == 6
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (home / "processed").stat().st_mode & 0o777 == 0o700
    assert (home / "rejected").stat().st_mode & 0o777 == 0o700
    assert sum("a.jsonl" in path.name for path in paths) == 2
    kept = "".join(path.read_text() for path in (home / "rejected").iterdir())
    assert '"raw_base64"' in kept
    assert '"raw":"not json"' in kept


def test_details_never_quote_the_line(home: Path, declarations: Path, query: Query) -> None:
    secret = "secret-text"
    (home / "inbox" / "a.jsonl").write_bytes(
        b"".join(
            part.replace(b"X", secret.encode())
            for part in (
                b"X\n",
                b'{"X":1}\n',
                b'{"resourceLogs":[{"scopeLogs":"X"}]}\n',
                b'{"X":1,"X":2}\n',
                lines(request({**log("X"), "timeUnixNano": "X"})),
                b'{"resourceLogs":[],"\xff":"X"}\n',
            )
        )
    )
    load_inbox(home, declarations)
    details = query("select detail from rejections")
    assert len(details) == 6
    assert not any(secret in detail for (detail,) in details)


def test_a_file_loaded_twice_lands_once(home: Path, declarations: Path, query: Query) -> None:
    data = three_days("a")
    for name in ("a.jsonl", "again.jsonl"):
        (home / "inbox" / name).write_bytes(data)
    first = load_inbox(home, declarations)
    assert [file.is_already_loaded for file in first.files] == [False, True]
    (home / "inbox" / "a.jsonl").write_bytes(data)
    second = load_inbox(home, declarations)
    assert [file.is_already_loaded for file in second.files] == [True]
    assert query("select count(*) from log_records") == [(3,)]
    assert len(list((home / "processed").iterdir())) == 3


@pytest.mark.parametrize("step", range(14))
def test_a_load_that_dies_anywhere_and_runs_again_loses_and_doubles_nothing(
    home: Path,
    declarations: Path,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (home / "inbox" / f".{name}").write_bytes(three_days(name))
    load_inbox(home, declarations)
    for name in ("a.jsonl", "b.jsonl"):
        (home / "inbox" / f".{name}").rename(home / "inbox" / name)
    count = 0
    replace = os.replace

    def dying_replace(source: Any, target: Any) -> None:
        nonlocal count
        # Half of the steps die before a file is put into place, half right after.
        if step % 2 == 0 and count == step // 2:
            raise Killed
        replace(source, target)
        if step % 2 == 1 and count == step // 2:
            raise Killed
        count += 1

    monkeypatch.setattr(os, "replace", dying_replace)
    with pytest.raises(Killed):
        load_inbox(home, declarations)
    monkeypatch.setattr(os, "replace", replace)
    visible = query("select count(*) from log_records")[0][0]
    assert visible in (0, 3)
    load_inbox(home, declarations)
    assert state(home, query) == {
        "logs": [("a.jsonl", 3), ("b.jsonl", 3)],
        "spans": [("a.jsonl", 1), ("b.jsonl", 1)],
        "rejections": [
            (name, *rest)
            for name in ("a.jsonl", "b.jsonl")
            for rest in ((1, None, "invalid_json"), (4, 0, "time_out_of_range"))
        ],
        "batches": [("a.jsonl", 6), ("b.jsonl", 6)],
        "kept": [(1, "invalid_json")] * 2 + [(4, "time_out_of_range")] * 2,
        "processed": ["a.jsonl", "b.jsonl"],
        "inbox": [],
    }
    assert not list(home.rglob("*.tmp"))


def test_a_killed_process_leaves_a_home_that_the_next_one_completes(
    home: Path, declarations: Path, query: Query
) -> None:
    for number in range(40):
        (home / "inbox" / f"{number:02}.jsonl").write_bytes(three_days(f"{number:02}"))
    program = (
        "import sys; from pathlib import Path; from orchestration.ingest import load_inbox; "
        "load_inbox(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(home), str(declarations)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list((home / "processed").glob("*"))) < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    report = load_inbox(home, declarations)
    assert report.batch_ids
    assert query("select count(*), count(distinct event_name) from log_records") == [(120, 40)]
    assert query("select count(*), count(distinct span_name) from spans") == [(40, 40)]
    assert len(list((home / "processed").iterdir())) == 40


def test_a_half_loaded_batch_is_invisible_and_cleaned_up(
    home: Path, declarations: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(three_days("a"))

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(BatchWriter, "commit", die)
        with pytest.raises(Killed):
            load_inbox(home, declarations)
    assert len(list((home / "lake" / "log_records").glob("*/*.parquet"))) == 4
    assert query("select count(*) from log_records") == [(0,)]
    (home / "inbox" / "a.jsonl").unlink()
    load_inbox(home, declarations)
    assert len(list((home / "lake" / "log_records").glob("*/*.parquet"))) == 1
    assert list((home / "rejected").iterdir()) == []


def test_files_of_compaction_are_nobodys_leftovers(home: Path, declarations: Path) -> None:
    ensure_lake(home)
    compacted = home / "lake" / "log_records" / "event_date=1970-01-01" / "compacted-1.parquet"
    pq.write_table(LOG_RECORDS.empty_table(), compacted)
    load_inbox(home, declarations)
    assert compacted.exists()


def test_a_second_ingest_is_told_who_holds_the_lock(home: Path, declarations: Path) -> None:
    with (
        one_ingest_at_a_time(Home(home)),
        pytest.raises(IngestLockedError, match=f"is held by process {os.getpid()}"),
    ):
        load_inbox(home, declarations)
    load_inbox(home, declarations)


def test_progress_tells_bytes_and_records(home: Path, declarations: Path) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(three_days("a"))
    (home / "inbox" / ".b.jsonl").write_bytes(b"still being written")
    (home / "inbox" / "c.txt").write_bytes(b"not ours")
    seen: list[Progress] = []
    load_inbox(home, declarations, progress=seen.append)
    assert [(each.file_number, each.file_count, each.records) for each in seen] == [(1, 1, 4)]
    assert seen[0].bytes_done == seen[0].bytes_total
    assert sorted(path.name for path in (home / "inbox").iterdir()) == [".b.jsonl", "c.txt"]


def test_a_load_without_zone_is_refused(home: Path, declarations: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        load_inbox(home, declarations, loaded_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_parts_of_a_large_batch_are_one_batch(home: Path, declarations: Path, query: Query) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(
        lines(*(request(log(f"event-{number}")) for number in range(10)))
    )
    report = load_inbox(home, declarations, block_bytes=500)
    parts = sorted((home / "lake" / "log_records").glob(f"*/{report.batch_ids[0]}*.parquet"))
    assert len(parts) > 2
    assert query("select count(*), count(distinct batch_id) from log_records") == [(10, 1)]


def future_file(loaded_at: datetime) -> bytes:
    soon = int((loaded_at + timedelta(days=3)).timestamp()) * 1_000_000_000
    resource = {"user.id": "user-1", "service.name": "shop"}
    return (
        lines(
            request(log("now"), log("soon", nanos=soon, attributes={"x": 1.5}), resource=resource)
        )
        + b"never json\n"
    )


def test_refused_records_that_are_taken_later_come_exactly_once(
    home: Path, declarations: Path, query: Query
) -> None:
    loaded_at = datetime(2026, 1, 1, tzinfo=UTC)
    (home / "inbox" / "a.jsonl").write_bytes(future_file(loaded_at))
    assert load_inbox(home, declarations, loaded_at=loaded_at).rejected == {
        "invalid_json": 1,
        "time_out_of_range": 1,
    }
    assert replay(home, declarations, loaded_at=loaded_at).files == []
    later = loaded_at + timedelta(days=10)
    report = replay(home, declarations, loaded_at=later)
    assert [(file.well_formed, file.rejected) for file in report.files] == [(1, {})]
    assert query(
        "select event_name, service_name, attributes['x'], user_id is not null "
        "from log_records order by all"
    ) == [("now", "shop", None, True), ("soon", "shop", "1.5", True)]
    assert replay(home, declarations, loaded_at=later).files == []
    assert query("select count(*) from log_records") == [(2,)]
    kept = [
        json.loads(line)
        for path in (home / "rejected").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert {entry["reason"]: "replayed_as" in entry for entry in kept} == {
        "invalid_json": False,
        "time_out_of_range": True,
    }


def test_a_replayed_record_has_the_id_that_it_would_have_had(
    home: Path, declarations: Path, query: Query
) -> None:
    loaded_at = datetime(2026, 1, 1, tzinfo=UTC)
    data = future_file(loaded_at)
    (home / "inbox" / "a.jsonl").write_bytes(data)
    load_inbox(home, declarations, loaded_at=loaded_at)
    later = loaded_at + timedelta(days=10)
    (home / "inbox" / "b.jsonl").write_bytes(b"\n" + data)
    replay(home, declarations, loaded_at=later)
    assert query(
        "select event_name, count(*), count(distinct event_id) from log_records "
        "group by all order by all"
    ) == [("now", 2, 1), ("soon", 2, 1)]


@pytest.mark.parametrize("step", range(8))
def test_a_replay_that_dies_anywhere_is_finished_by_the_next_load(
    home: Path,
    declarations: Path,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    loaded_at = datetime(2026, 1, 1, tzinfo=UTC)
    (home / "inbox" / "a.jsonl").write_bytes(future_file(loaded_at))
    load_inbox(home, declarations, loaded_at=loaded_at)
    later = loaded_at + timedelta(days=10)
    count = 0
    replace = os.replace

    def dying_replace(source: Any, target: Any) -> None:
        nonlocal count
        if step % 2 == 0 and count == step // 2:
            raise Killed
        replace(source, target)
        if step % 2 == 1 and count == step // 2:
            raise Killed
        count += 1

    monkeypatch.setattr(os, "replace", dying_replace)
    with pytest.raises(Killed):
        replay(home, declarations, loaded_at=later)
    monkeypatch.setattr(os, "replace", replace)
    load_inbox(home, declarations, loaded_at=later)
    replay(home, declarations, loaded_at=later)
    assert query("select event_name, count(*) from log_records group by all order by all") == [
        ("now", 1),
        ("soon", 1),
    ]


def test_raw_text_is_deleted_after_its_days(home: Path, declarations: Path, query: Query) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(three_days("a"))
    os.utime(home / "inbox" / "a.jsonl", (0, 0))
    load_inbox(home, declarations)
    now = datetime.now(UTC)
    assert delete_raw(home, 30, now=now) == []
    assert len(delete_raw(home, 30, now=now + timedelta(days=31))) == 2
    assert list((home / "processed").iterdir()) == []
    assert list((home / "rejected").iterdir()) == []
    assert query("select count(*) from log_records") == [(3,)]
    with pytest.raises(ValueError, match="cannot be negative"):
        delete_raw(home, -1)
