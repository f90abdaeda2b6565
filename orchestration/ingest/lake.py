"""The lake's files: parts of a batch first, its row in `batches` last, as the mark that it exists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.ingest.home import Home
from orchestration.ingest.schema import BATCHES, LOG_RECORDS, REJECTIONS, SPANS

EMPTY_PARTITION = "event_date=1970-01-01"
EMPTY_FILE = "empty.parquet"
# A batch's own files; compacted ones have other names and are nobody's leftovers.
BATCH_FILE = re.compile(r"^([0-9a-f]{64})(-\d+)?\.(parquet|jsonl)(\.tmp)?$")
FLUSH_BYTES = 192 << 20
COMPRESSION_LEVEL = 1


def ensure_lake(home: Path) -> None:
    """Make the folders and the empty typed files, so that no reader's glob ever finds nothing."""
    paths = Home(home)
    paths.make_folders()
    for folder, schema in (
        (paths.log_records / EMPTY_PARTITION, LOG_RECORDS),
        (paths.spans / EMPTY_PARTITION, SPANS),
        (paths.batches, BATCHES),
        (paths.rejections, REJECTIONS),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / EMPTY_FILE).exists():
            _write(schema.empty_table(), folder / EMPTY_FILE)


def committed_batches(home: Home) -> set[str]:
    """The ids of all batches that exist."""
    found = (BATCH_FILE.match(path.name) for path in home.batches.glob("*.parquet"))
    return {match[1] for match in found if match}


def clean_uncommitted(home: Home) -> list[Path]:
    """Delete what a load left that never reached its commit mark.

    Returns:
        The files deleted.
    """
    committed = committed_batches(home)
    deleted = []
    for path in _batch_files(home):
        match = BATCH_FILE.match(path.name)
        if match and (match[4] or match[1] not in committed):
            path.unlink()
            deleted.append(path)
    return deleted


def _batch_files(home: Home) -> Iterator[Path]:
    yield from home.batches.iterdir()
    yield from home.rejections.iterdir()
    yield from home.rejected.iterdir()
    for table in (home.log_records, home.spans):
        yield from table.glob("event_date=*/*")


@dataclass
class BatchWriter:
    """Collects a batch's rows and writes them by event date, in several parts if there are many."""

    home: Home
    batch_id: str
    flush_bytes: int = FLUSH_BYTES
    written: list[Path] = field(default_factory=list)
    _tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    _bytes: int = 0
    _part: int = 0

    def add(self, log_records: pa.Table, spans: pa.Table) -> None:
        """Take rows of both record tables."""
        for name, table in (("log_records", log_records), ("spans", spans)):
            if table.num_rows:
                self._tables.setdefault(name, []).append(table)
                self._bytes += table.nbytes
        if self._bytes >= self.flush_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what was collected as one part."""
        name = self.batch_id if self._part == 0 else f"{self.batch_id}-{self._part}"
        for table, parts in self._tables.items():
            for day, rows in _by_date(pa.concat_tables(parts)):
                folder = self.home.lake / table / f"event_date={day.isoformat()}"
                folder.mkdir(parents=True, exist_ok=True)
                _write(rows, folder / f"{name}.parquet")
                self.written.append(folder / f"{name}.parquet")
        self._tables.clear()
        self._bytes = 0
        self._part += 1

    def discard(self) -> None:
        """Take back everything of the batch."""
        for path in self.written:
            path.unlink()
        self.written.clear()
        self._tables.clear()
        self._bytes = 0

    def write_rejections(self, rejections: pa.Table) -> None:
        """Write the batch's rejections, none included."""
        _write(rejections, self.home.rejections / f"{self.batch_id}.parquet")

    def commit(self, batch: pa.Table) -> None:
        """Write the batch's own row: from now on the batch exists."""
        self.flush()
        _write(batch, self.home.batches / f"{self.batch_id}.parquet")


def _by_date(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    days = pc.cast(table["occurred_at"], pa.date32())
    keys = ["day", "event_name", "occurred_at", "line_number", "record_number"]
    columns = {"day": days} | {name: table[name] for name in keys[1:]}
    if "event_number" in table.column_names:
        columns["event_number"] = table["event_number"]
        keys.append("event_number")
    order = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in keys])
    ordered = table.take(order)
    counts = pc.value_counts(days.take(order))
    start = 0
    for entry in counts.to_pylist():
        yield entry["values"], ordered.slice(start, entry["counts"])
        start += entry["counts"]


def _write(table: pa.Table, path: Path) -> None:
    temporary = path.with_name(path.name + ".tmp")
    pq.write_table(
        table,
        temporary,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        coerce_timestamps="us",
        store_schema=False,
    )
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
