"""Real and dirty files: every record is accounted for, every fault is named."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingest import load_inbox
from orchestration.ingest.home import Home
from tests.orchestration.ingest.otlp import Query


def put(home: Path, *files: Path) -> None:
    for file in files:
        shutil.copy(file, home / "inbox" / file.name)
        (home / "inbox" / file.name).chmod(0o644)


@pytest.fixture
def dirty(shared_dir: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(
        (shared_dir / "real" / "dirty" / "expected.json").read_text()
    )
    return expected


def test_dirty_files_are_counted_and_refused_exactly(
    home: Path, declarations: Path, shared_dir: Path, dirty: dict[str, Any], query: Query
) -> None:
    put(home, *(shared_dir / "real" / "dirty").glob("*.jsonl*"))
    report = load_inbox(home, declarations)
    assert [file.file_name for file in report.files] == sorted(dirty["files"])
    rejections = query("select file_name, line_number, record_number, reason from rejections")
    for file in report.files:
        expected = dirty["files"][file.file_name]
        assert (file.lines, file.records_in, file.well_formed, file.rejected) == (
            expected["lines"],
            expected["records_in"],
            expected["well_formed"],
            expected["rejected"],
        ), file.file_name
        found = Counter(row[1:] for row in rejections if row[0] == file.file_name)
        assert found == Counter(
            (item["line"], item["record"], item["reason"]) for item in expected["rejections"]
        )
    batches = query("select file_name, line_count, records_in, well_formed, rejected from batches")
    assert {row[0]: row[1:] for row in batches} == {
        name: (
            expected["lines"],
            expected["records_in"],
            expected["well_formed"],
            sum(expected["rejected"].values()),
        )
        for name, expected in dirty["files"].items()
    }


def test_event_ids_tell_duplicates_from_different_records(
    home: Path, declarations: Path, shared_dir: Path, dirty: dict[str, Any], query: Query
) -> None:
    put(home, *(shared_dir / "real" / "dirty").glob("*.jsonl*"))
    load_inbox(home, declarations)
    duplicates = query(
        """
        with records as (
            select event_id, batch_id, line_number, record_number
            from log_records where not is_span_event
            union all
            select event_id, batch_id, line_number, record_number from spans
        ), copies as (
            select file_name, row_number() over (
                partition by event_id order by file_name, line_number, record_number) as copy
            from records join batches using (batch_id)
        )
        select file_name, count(*) from copies where copy > 1 group by all
        """
    )
    assert dict(duplicates) == {
        name: expected["duplicates"]
        for name, expected in dirty["files"].items()
        if expected["duplicates"]
    }


def test_units_of_dirty_exposures_are_told_apart(
    home: Path, declarations: Path, shared_dir: Path, dirty: dict[str, Any], query: Query
) -> None:
    put(home, *(shared_dir / "real" / "dirty").glob("*.jsonl*"))
    load_inbox(home, declarations)
    units = query(
        """
        select coalesce(attributes['feature_flag.result.variant'],
                        attributes['feature_flag.variant']), count(distinct user_id)
        from log_records
        where event_name in ('feature_flag', 'feature_flag.evaluation')
          and attributes['feature_flag.result.reason'] is distinct from 'error'
        group by all
        """
    )
    assert dict(units) == dirty["totals"]["units_exposed"]["inline-suggestions"]


@pytest.mark.parametrize(
    ("folder", "records", "raw_ids"),
    [
        ("copilot_cups", 3_490, [b"cups-0", b"cups-1"]),
        ("hillstrom", 138_550, [b"customer-0", b"customer-6"]),
    ],
)
def test_real_records_are_all_there_without_a_raw_id(
    home: Path,
    declarations: Path,
    shared_dir: Path,
    query: Query,
    folder: str,
    records: int,
    raw_ids: list[bytes],
) -> None:
    put(home, shared_dir / "real" / folder / "telemetry.jsonl.gz")
    report = load_inbox(home, declarations)
    assert (report.well_formed, report.records_in, report.rejected) == (records, records, {})
    counted, ids, users = query(
        "select count(*), count(distinct event_id), count(distinct user_id) from log_records"
    )[0]
    assert (counted, ids) == (records, records)
    expected = json.loads((shared_dir / "real" / "EXPECTED.json").read_text())[folder]
    if folder == "copilot_cups":
        assert users == len(expected["per_user"])
    else:
        assert users == 64_000
    texts = query(
        """
        select distinct unnest(map_values(attributes)) from log_records
        union all select distinct unnest(map_keys(attributes)) from log_records
        union all select distinct event_name from log_records
        """
    )
    whole = "\n".join(text for (text,) in texts if text is not None).encode()
    assert not any(raw in whole for raw in raw_ids)
    for path in Home(home).lake.rglob("*.parquet"):
        data = path.read_bytes()
        assert not any(raw in data for raw in raw_ids), path


def test_sdk_output_gives_records_spans_and_span_events(
    home: Path, declarations: Path, shared_dir: Path, query: Query
) -> None:
    folder = shared_dir / "real" / "otlp_sample"
    put(home, folder / "logs.jsonl", folder / "traces.jsonl")
    report = load_inbox(home, declarations)
    assert [(file.log_records, file.spans, file.span_events) for file in report.files] == [
        (74, 0, 0),
        (0, 37, 32),
    ]
    assert query("select status, count(*) from spans group by all order by all") == [
        ("error", 3),
        ("unset", 34),
    ]
    twins = query(
        """
        select count(*) from log_records as logs join log_records as events
          on logs.trace_id = events.trace_id and logs.user_id = events.user_id
         and logs.attributes['feature_flag.key'] = events.attributes['feature_flag.key']
        where not logs.is_span_event and events.is_span_event
        """
    )
    assert twins == [(32,)]
    assert query("select count(*) from log_records where session_id is null") == [(0,)]
    assert query("select count(*) from spans where duration_ms > 0") == [(37,)]


def test_many_small_blocks_give_the_same_rows_as_one(
    tmp_path: Path, home: Path, declarations: Path, shared_dir: Path, query: Query
) -> None:
    put(home, *(shared_dir / "real" / "dirty").glob("*.jsonl*"))
    other = tmp_path / "other"
    shutil.copytree(home, other)
    load_inbox(home, declarations)
    shutil.copy(home / "key.json", other / "key.json")
    load_inbox(other, declarations, block_bytes=1_000)
    columns = "exclude (loaded_at)"
    for table in ("log_records", "spans"):
        assert (
            query(
                f"""
            (select * {columns} from read_parquet('{home}/lake/{table}/*/*.parquet')
             except all select * {columns} from read_parquet('{other}/lake/{table}/*/*.parquet'))
            union all
            (select * {columns} from read_parquet('{other}/lake/{table}/*/*.parquet')
             except all select * {columns} from read_parquet('{home}/lake/{table}/*/*.parquet'))
            """
            )
            == []
        )
