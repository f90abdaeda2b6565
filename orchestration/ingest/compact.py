"""Compaction: the many small files of a date become few, and no row changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.ingest.errors import SwitchError
from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.lake import EMPTY_FILE, clean_uncommitted, ensure_lake
from orchestration.ingest.switch import ROW_GROUP_ROWS, new_file, switch, switching

TARGET_ROWS = 1_000_000
# A file of at least half the target stays: every merged file but the last is one of those, so a
# second compaction finds nothing to do.
FULL_SHARE = 0.5
SORTED_BY = (
    "event_name",
    "occurred_at",
    "batch_id",
    "line_number",
    "record_number",
    "event_number",
)


@dataclass(frozen=True)
class Compacted:
    """One folder of the lake whose files were merged.

    Attributes:
        folder: its path below the lake, such as `spans/event_date=2026-03-02`.
        files_before: Parquet files that hold rows, before.
        files_after: the same, after.
        rows: rows of the merged files.
    """

    folder: str
    files_before: int
    files_after: int
    rows: int


@dataclass(frozen=True)
class _Merge:
    """Files of one folder that become one."""

    inputs: tuple[Path, ...]
    rows: int

    @property
    def name(self) -> str:
        names = "\n".join(path.name for path in self.inputs)
        return f"compacted-{hashlib.sha256(names.encode()).hexdigest()[:32]}.parquet"


def compact(
    home: Path,
    *,
    day: date | None = None,
    target_rows: int = TARGET_ROWS,
    warehouse: Path | None = None,
) -> list[Compacted]:
    """Merge the small files of each date, and of the tables without dates.

    Args:
        home: ATTUNE_HOME.
        day: only this event date; all if absent.
        target_rows: rows of a merged file, at most.
        warehouse: the file that a build holds open while it reads the lake.

    Returns:
        The folders that changed.

    Raises:
        IngestLockedError: an ingest runs.
        DiskFullError: there is no room for the merged files beside their parts.
        SwitchError: a build runs, or a merged file does not hold the rows of its parts.
    """
    paths = Home(home)
    changed = []
    with one_ingest_at_a_time(paths):
        ensure_lake(home)
        clean_uncommitted(paths)
        with switching(paths, "attune compact") as work:
            for folder in _folders(paths, day):
                merges = _merges(folder, target_rows)
                if merges:
                    changed.append(_compact_folder(paths, folder, merges, work, warehouse))
    return changed


def _folders(home: Home, day: date | None) -> list[Path]:
    if day is not None:
        dated = [
            table / f"event_date={day.isoformat()}" for table in (home.log_records, home.spans)
        ]
        return [folder for folder in dated if folder.is_dir()]
    found: list[Path] = []
    for table in (home.log_records, home.spans):
        found += sorted(table.glob("event_date=*"))
    return [*found, home.rejections, home.pseudonym_links, home.erased_records]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if path.name != EMPTY_FILE)


def _merges(folder: Path, target_rows: int) -> list[_Merge]:
    """Small files in the order of their names, as many together as the target allows."""
    merges = []
    inputs: list[Path] = []
    rows = 0
    for path in _files(folder):
        count = pq.read_metadata(path).num_rows
        if count >= target_rows * FULL_SHARE:
            continue
        if rows + count > target_rows:
            merges.append(_Merge(tuple(inputs), rows))
            inputs, rows = [], 0
        inputs.append(path)
        rows += count
    merges.append(_Merge(tuple(inputs), rows))
    return [merge for merge in merges if len(merge.inputs) > 1]


def _compact_folder(
    home: Home, folder: Path, merges: Sequence[_Merge], work: Path, warehouse: Path | None
) -> Compacted:
    before = len(_files(folder))
    for merge in merges:
        _write_merged(merge, work / merge.name)
    name = folder.relative_to(home.lake).as_posix()
    switch(
        home,
        {merge.name: f"{name}/{merge.name}" for merge in merges},
        [f"{name}/{path.name}" for merge in merges for path in merge.inputs],
        warehouse,
    )
    return Compacted(
        folder=name,
        files_before=before,
        files_after=len(_files(folder)),
        rows=sum(merge.rows for merge in merges),
    )


def _write_merged(merge: _Merge, target: Path) -> None:
    with new_file(merge.inputs[0], target) as writer:
        for group in _row_groups(merge.inputs):
            writer.write_table(_sorted(group.cast(writer.schema)), row_group_size=ROW_GROUP_ROWS)
    written = pq.read_metadata(target).num_rows
    if written != merge.rows:
        raise SwitchError(
            f"{target} holds {written} rows, its parts {merge.rows}: nothing was replaced; run "
            "`attune compact` again, and if it says the same, check the disk"
        )


def _row_groups(inputs: Sequence[Path]) -> Iterator[pa.Table]:
    """The rows of the files, as many at a time as a row group takes."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for path in inputs:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
                if rows and rows + batch.num_rows > ROW_GROUP_ROWS:
                    yield pa.Table.from_batches(waiting)
                    waiting, rows = [], 0
                waiting.append(batch)
                rows += batch.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def _sorted(table: pa.Table) -> pa.Table:
    keys = [(name, "ascending") for name in SORTED_BY if name in table.column_names]
    return table.combine_chunks().take(pc.sort_indices(table, sort_keys=keys))
