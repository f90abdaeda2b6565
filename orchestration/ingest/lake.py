"""The lake's files: parts of a batch first, its row in `batches` last, as the mark that it exists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.ingest.home import Home
from orchestration.ingest.schema import (
    BATCHES,
    ERASED_RECORDS,
    LOG_RECORDS,
    PSEUDONYM_LINKS,
    REJECTIONS,
    SPANS,
)

EMPTY_PARTITION = "event_date=1970-01-01"
EMPTY_FILE = "empty.parquet"
# A batch's own files; compacted ones have other names and are nobody's leftovers.
BATCH_FILE = re.compile(r"^([0-9a-f]{64})(-\d+)?\.(parquet|jsonl)(\.tmp)?$")
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
        (paths.pseudonym_links, PSEUDONYM_LINKS),
        (paths.erased_records, ERASED_RECORDS),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / EMPTY_FILE).exists():
            _write(schema.empty_table(), folder / EMPTY_FILE)


def stable_pseudonym(home: Path, pseudonym: str) -> str:
    """What tables call the user of a pseudonym, whichever key it was made with."""
    files = sorted(Home(home).pseudonym_links.glob("*.parquet"))
    if not files:
        return pseudonym
    is_it = pc.field("pseudonym") == pseudonym
    links = pq.read_table(files, columns=["stable_pseudonym"], filters=is_it)
    return str(links["stable_pseudonym"][0]) if links.num_rows else pseudonym


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
    yield from home.pseudonym_links.iterdir()
    yield from home.rejected.iterdir()
    for table in (home.log_records, home.spans):
        yield from table.glob("event_date=*/*")


@dataclass
class BatchWriter:
    """Writes a batch's rows by event date, a part for each block that was read."""

    home: Home
    batch_id: str
    written: list[Path] = field(default_factory=list)
    _part: int = 0

    def add(self, log_records: list[pa.Table], spans: list[pa.Table]) -> None:
        """Write the rows of a block as one part."""
        name = self.batch_id if self._part == 0 else f"{self.batch_id}-{self._part}"
        self._part += 1
        for table, parts in (("log_records", log_records), ("spans", spans)):
            filled = [part for part in parts if part.num_rows]
            if not filled:
                continue
            for day, rows in _by_date(pa.concat_tables(filled).combine_chunks()):
                folder = self.home.lake / table / f"event_date={day.isoformat()}"
                folder.mkdir(parents=True, exist_ok=True)
                _write(rows, folder / f"{name}.parquet")
                self.written.append(folder / f"{name}.parquet")

    def add_rejections(self, rejections: pa.Table) -> None:
        """Write what was refused of the block that was added last."""
        path = self.home.rejections / f"{self.batch_id}-{self._part}.parquet"
        _write(rejections, path)
        self.written.append(path)

    def discard(self) -> None:
        """Take back everything of the batch."""
        for path in self.written:
            path.unlink()
        self.written.clear()

    def write_links(self, links: pa.Table) -> None:
        """Write which new pseudonyms are whose, before the batch that brings them exists."""
        _write(links, self.home.pseudonym_links / f"{self.batch_id}.parquet")

    def commit(self, batch: pa.Table) -> None:
        """Write the batch's own row: from now on the batch exists."""
        _write(batch, self.home.batches / f"{self.batch_id}.parquet")


def _by_date(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    days = pc.cast(table["occurred_at"], pa.date32())
    keys = ["day", "event_name", "occurred_at", "line_number", "record_number"]
    columns = {"day": days} | {name: table[name] for name in keys[1:]}
    if "event_number" in table.column_names:
        columns["event_number"] = table["event_number"]
        keys.append("event_number")
    order = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in keys])
    # Most blocks come in order, and taking rows with maps costs more than all other columns.
    if pc.all(pc.equal(order, pa.array(np.arange(len(order)), order.type))).as_py():
        ordered = table
    else:
        ordered, days = table.take(order), days.take(order)
    counts = pc.value_counts(days)
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
