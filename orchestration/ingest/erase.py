"""Erasure: what users who asked to be forgotten did leaves the lake, and the raw text that names them.

Which rows go is the warehouse's answer (`int_records_erasable`); this replaces the files that hold
them. What stays of such a user are keyed hashes: the request, and the links between the user's ids.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.ingest.home import PRIVATE_FILE, Home, one_ingest_at_a_time, writing_atomically
from orchestration.ingest.keys import Keys, load_keys
from orchestration.ingest.lake import EMPTY_FILE, clean_uncommitted, ensure_lake
from orchestration.ingest.rejected import read_rejected
from orchestration.ingest.replay import finish_pending
from orchestration.ingest.schema import ERASED_RECORDS
from orchestration.ingest.switch import ROW_GROUP_ROWS, new_file, switch, switching
from orchestration.ingest.times import naive_utc

# JSON strings and whole numbers of a line, which need not be JSON as a whole
VALUES = re.compile(rb'"((?:[^"\\]|\\.)*)"|(?<![\w.])(\d{1,19})(?![\w.])')


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes:
        rows: rows of the lake that are gone, copies and span events included.
        lake_files: files of the lake that were replaced or deleted.
        raw_files: files deleted from `processed/`, because their records were erased.
        raw_lines: lines deleted from `rejected/`, because they name an erased user.
    """

    rows: int
    lake_files: int
    raw_files: int
    raw_lines: int


def erase(
    home: Path,
    erasable: pa.Table,
    pseudonyms: Collection[str],
    *,
    erased_at: datetime | None = None,
    warehouse: Path | None = None,
    wait_seconds: float = 0.0,
) -> Erased:
    """Take rows out of the lake, and the raw text they came from out of the workspace.

    Args:
        home: ATTUNE_HOME.
        erasable: rows of `int_records_erasable`: record_kind, event_date, batch_id, line_number,
            record_number, event_number. Rows that are gone already do no harm.
        pseudonyms: every id of every erased user, hashed with the oldest key.
        erased_at: the present, with zone; the clock's if absent.
        warehouse: the file that a build holds open while it reads the lake.
        wait_seconds: how long to wait for another process that loads this home.

    Raises:
        IngestLockedError: another process loads this home.
        DiskFullError: there is no room for the new files beside the old.
        SwitchError: a build runs.
        KeyFileError: the key file is missing or unusable.
    """
    moment = naive_utc(erased_at or datetime.now(UTC))
    paths = Home(home)
    with one_ingest_at_a_time(paths, wait_seconds):
        ensure_lake(home)
        clean_uncommitted(paths)
        finish_pending(paths)
        keys = load_keys(paths.key_file(), create=False)
        # raw text first: a crash after it leaves rows in the lake, which the next erasure finds
        named, raw_lines = _erase_rejected(paths, keys, frozenset(pseudonyms))
        batches = named | set(erasable["batch_id"].to_pylist()) | _erased_batches(paths)
        raw_files = _delete_processed(paths, batches)
        rows = lake_files = 0
        with switching(paths, "attune erase") as work, duckdb.connect() as connection:
            connection.register("erasable", erasable)
            for folder, is_span in _folders(paths, connection):
                found, files = _erase_folder(
                    paths, connection, folder, is_span, work, moment, warehouse
                )
                rows += found
                lake_files += files
    return Erased(rows, lake_files, raw_files, raw_lines)


def _folders(home: Home, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Path, bool]]:
    found: list[tuple[bool, date]] = connection.execute(
        "select distinct record_kind = 'span', event_date from erasable order by all"
    ).fetchall()
    for is_span, day in found:
        folder = (home.spans if is_span else home.log_records) / f"event_date={day.isoformat()}"
        if any(path.name != EMPTY_FILE for path in folder.glob("*.parquet")):
            yield folder, is_span


def _erase_folder(
    home: Home,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    is_span: bool,
    work: Path,
    moment: datetime,
    warehouse: Path | None,
) -> tuple[int, int]:
    """Replace the files of a date that hold such rows; rows and files that went."""
    same_event = (
        "" if is_span else "and lake.event_number is not distinct from erasable.event_number"
    )
    connection.execute(
        f"""
        create or replace temp table found as
        select filename, file_row_number, batch_id, {"false" if is_span else "is_span_event"} as is_part
        from read_parquet(?, filename = true, file_row_number = true, hive_partitioning = false) as lake
        where exists (
            select 1 from erasable
            where
                (erasable.record_kind = 'span') = ?
                and lake.batch_id = erasable.batch_id
                and lake.line_number = erasable.line_number
                and lake.record_number = erasable.record_number {same_event}
        )
        """,
        [[str(path) for path in sorted(folder.glob("*.parquet"))], is_span],
    )
    files: list[tuple[str, list[int]]] = connection.execute(
        "select filename, list(file_row_number) from found group by filename order by filename"
    ).fetchall()
    if not files:
        return 0, 0
    name = folder.relative_to(home.lake).as_posix()
    moves = {}
    for file, numbers in files:
        rest = f"erased-{secrets.token_hex(16)}.parquet"
        if _write_rest(Path(file), numbers, work / rest):
            moves[rest] = f"{name}/{rest}"
    counts = connection.execute(
        "select batch_id, count(*) filter (not is_part) as records, ?::timestamp as erased_at "
        "from found group by batch_id order by batch_id",
        [moment],
    ).to_arrow_table()
    counted = f"erased-{secrets.token_hex(16)}.parquet"
    with new_file(home.erased_records / EMPTY_FILE, work / counted) as writer:
        writer.write_table(counts.cast(ERASED_RECORDS))
    moves[counted] = f"{home.erased_records.name}/{counted}"
    switch(home, moves, [f"{name}/{Path(file).name}" for file, _ in files], warehouse)
    return sum(len(numbers) for _, numbers in files), len(files)


def _write_rest(source: Path, erased: list[int], target: Path) -> bool:
    """Write the rows of a file but those; False and no file if there are none."""
    with pq.ParquetFile(source) as file:
        is_kept = np.ones(file.metadata.num_rows, dtype=np.bool_)
        is_kept[erased] = False
        if not is_kept.any():
            return False
        start = 0
        with new_file(source, target) as writer:
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
                kept = batch.filter(pa.array(is_kept[start : start + batch.num_rows]))
                start += batch.num_rows
                writer.write_table(pa.Table.from_batches([kept]).cast(writer.schema))
    return True


def _erased_batches(home: Home) -> set[str]:
    """Batches that lost records earlier: a crash may have left their raw text."""
    files = sorted(home.erased_records.glob("*.parquet"))
    return set(pq.read_table(files, columns=["batch_id"])["batch_id"].to_pylist())


def _delete_processed(home: Home, batches: set[str]) -> int:
    """Delete the loaded files of these batches, whose ids are the hashes of the files' content."""
    deleted = 0
    for path in sorted(home.processed.iterdir()) if batches else []:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in batches:
            path.unlink()
            deleted += 1
    return deleted


def _erase_rejected(home: Home, keys: Keys, pseudonyms: frozenset[str]) -> tuple[set[str], int]:
    """Delete refused lines that name one of the users; their batches, and how many lines."""
    named: dict[str, set[int]] = {}
    for entry in read_rejected(home) if pseudonyms else ():
        values = _values(entry.raw or b"")
        if any(keys.pseudonymize(value, keys.oldest) in pseudonyms for value in values):
            named.setdefault(entry.batch_id, set()).add(entry.index)
    for batch_id, indices in named.items():
        path = home.rejected / f"{batch_id}.jsonl"
        with path.open("rb") as file, writing_atomically(path, PRIVATE_FILE) as rest:
            rest.writelines(line for index, line in enumerate(file) if index not in indices)
    return set(named), sum(map(len, named.values()))


def _values(raw: bytes) -> set[str]:
    found = set()
    for text, number in VALUES.findall(raw):
        try:
            found.add(str(json.loads(b'"' + text + b'"')) if not number else number.decode())
        except ValueError:
            found.add(text.decode("utf-8", "replace"))
    return found
