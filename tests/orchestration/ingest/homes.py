"""What a home holds, in a form that two homes can be compared by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("log_records", "spans", "batches", "rejections")


def contents(home: Path) -> dict[str, Any]:
    """Everything but times of loading: rows, batches, refused lines, and where the files are."""
    found: dict[str, Any] = {}
    with duckdb.connect() as connection:
        for table in TABLES:
            rows = connection.execute(
                f"select * exclude (loaded_at) from read_parquet('{home}/lake/{table}/**/*.parquet',"
                " hive_partitioning = false) order by all"
            )
            found[table] = rows.fetchall()
    found["kept"] = sorted(
        json.dumps([path.stem, json.loads(line)], sort_keys=True)
        for path in (home / "rejected").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    )
    found["processed"] = sorted(path.name for path in (home / "processed").iterdir())
    found["inbox"] = sorted(path.name for path in (home / "inbox").iterdir())
    return found


def assert_balanced(home: Path) -> None:
    """Every batch: records in = well-formed + rejected, and both stand in the lake."""
    with duckdb.connect() as connection:
        connection.execute(f"create view batches as from '{home}/lake/batches/*.parquet'")
        for table in ("log_records", "spans", "rejections"):
            connection.execute(
                f"create view {table} as from read_parquet('{home}/lake/{table}/**/*.parquet')"
            )
        assert not connection.execute(
            """
            select * from batches
            where records_in != well_formed + rejected
               or well_formed != log_record_count + span_count
               or log_record_count != (
                   select count(*) from log_records
                   where log_records.batch_id = batches.batch_id and not is_span_event)
               or span_event_count != (
                   select count(*) from log_records
                   where log_records.batch_id = batches.batch_id and is_span_event)
               or span_count != (
                   select count(*) from spans where spans.batch_id = batches.batch_id)
               or rejected != (
                   select count(*) from rejections
                   where rejections.batch_id = batches.batch_id)
            """
        ).fetchall()
        strangers = "select batch_id from {} where batch_id not in (select batch_id from batches)"
        for table in ("log_records", "spans", "rejections"):
            assert not connection.execute(strangers.format(table)).fetchall()
