"""Loading: every inbox file becomes one batch of the lake, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest import times
from orchestration.ingest.blocks import parse_block
from orchestration.ingest.errors import IngestError
from orchestration.ingest.fast import request_schema
from orchestration.ingest.home import PRIVATE_FILE, Home, one_ingest_at_a_time
from orchestration.ingest.keys import Keys, load_keys
from orchestration.ingest.lake import (
    BatchWriter,
    clean_uncommitted,
    committed_batches,
    ensure_lake,
)
from orchestration.ingest.lines import (
    BLOCK_BYTES,
    Line,
    TruncatedFileError,
    UnreadableFileError,
    file_hash,
    is_inbox_file,
    read_blocks,
)
from orchestration.ingest.privacy import PrivacyPolicy, load_privacy
from orchestration.ingest.redact import Pseudonyms
from orchestration.ingest.rejected import RejectedWriter
from orchestration.ingest.replay import finish_pending, plan_replay, single_record_request
from orchestration.ingest.rows import Rejection, Rows, Stamp, build_rows
from orchestration.ingest.schema import BATCHES, REJECTIONS
from orchestration.ingest.strict import read_line


@dataclass(frozen=True)
class Progress:
    """How far a load is; `bytes_done` and `bytes_total` are of the current file."""

    file_name: str
    file_number: int
    file_count: int
    bytes_done: int
    bytes_total: int
    records: int


@dataclass
class FileReport:
    """What became of one inbox file."""

    file_name: str
    batch_id: str
    file_bytes: int
    is_already_loaded: bool = False
    lines: int = 0
    log_records: int = 0
    spans: int = 0
    span_events: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def well_formed(self) -> int:
        """Records taken; a span event is part of its span."""
        return self.log_records + self.spans

    @property
    def records_in(self) -> int:
        """Records taken and refused; a line or file that cannot be read counts as one."""
        return self.well_formed + sum(self.rejected.values())


@dataclass(frozen=True)
class IngestReport:
    """What a load did.

    Attributes:
        files: the inbox files in the order of their names.
        loaded_at: the time that all rows of this load carry.
        seconds: how long it took.
    """

    files: list[FileReport]
    loaded_at: datetime
    seconds: float

    @property
    def rejected(self) -> dict[str, int]:
        """Refused lines and records by reason."""
        total: Counter[str] = Counter()
        for report in self.files:
            total.update(report.rejected)
        return dict(sorted(total.items()))

    @property
    def records_in(self) -> int:
        """Records taken and refused of files loaded now."""
        return sum(report.records_in for report in self.files)

    @property
    def well_formed(self) -> int:
        """Records taken of files loaded now."""
        return sum(report.well_formed for report in self.files)

    @property
    def batch_ids(self) -> list[str]:
        """The batches that this load added."""
        return [report.batch_id for report in self.files if not report.is_already_loaded]


def load_inbox(
    home: Path,
    declarations: Path,
    *,
    loaded_at: datetime | None = None,
    progress: Callable[[Progress], None] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> IngestReport:
    """Load every file of the inbox, in the order of their names.

    Args:
        home: ATTUNE_HOME; made if missing.
        declarations: ATTUNE_DECLARATIONS, whose tracking plan says what is private.
        loaded_at: the time of the load, with zone; now if absent.
        progress: called after every block.
        block_bytes: how much text is parsed at once.

    Raises:
        IngestLockedError: another process loads this home.
        KeyFileError: the key file is missing though the lake was made with it, or unusable.
        IngestError: a declaration is wrong, or a file changed while it was read.
        ValueError: `loaded_at` has no zone.
    """
    paths = Home(home)
    moment = datetime.now(UTC) if loaded_at is None else loaded_at
    times.naive_utc(moment)
    started = time.perf_counter()
    with one_ingest_at_a_time(paths):
        policy = load_privacy(declarations)
        ensure_lake(home)
        clean_uncommitted(paths)
        finish_pending(paths)
        keys = load_keys(paths.key_file(), create=not committed_batches(paths))
        loader = _Loader(paths, keys, policy, moment, progress, block_bytes)
        files = sorted(path for path in paths.inbox.iterdir() if is_inbox_file(path))
        reports = [loader.load(path, number, len(files)) for number, path in enumerate(files, 1)]
    return IngestReport(reports, moment, time.perf_counter() - started)


def replay(
    home: Path,
    declarations: Path,
    *,
    loaded_at: datetime | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Load refused lines that would now be taken, each exactly once, with whatever is in the inbox.

    Arguments and errors are those of `load_inbox`; the lines come as a file of their own.
    """
    moment = datetime.now(UTC) if loaded_at is None else loaded_at
    times.naive_utc(moment)
    plan_replay(home, moment)
    return load_inbox(home, declarations, loaded_at=moment, progress=progress)


class _Loader:
    def __init__(
        self,
        home: Home,
        keys: Keys,
        policy: PrivacyPolicy,
        loaded_at: datetime,
        progress: Callable[[Progress], None] | None,
        block_bytes: int,
    ) -> None:
        self.home, self.keys, self.policy = home, keys, policy
        self.loaded_at, self.progress, self.block_bytes = loaded_at, progress, block_bytes
        self.pseudonyms = Pseudonyms(keys)
        self.schema = request_schema()
        self.committed = committed_batches(home)

    def load(self, path: Path, file_number: int, file_count: int) -> FileReport:
        """Load one file and move it to `processed/`."""
        before = path.stat()
        batch_id = file_hash(path)
        report = FileReport(path.name, batch_id, before.st_size)
        if batch_id in self.committed:
            report.is_already_loaded = True
            self._move(path, batch_id)
            return report

        def tell(bytes_done: int) -> None:
            if self.progress is not None:
                self.progress(
                    Progress(
                        path.name,
                        file_number,
                        file_count,
                        bytes_done,
                        before.st_size,
                        report.well_formed,
                    )
                )

        batch = _Batch(self, report)
        try:
            batch.read(path, tell)
            after = path.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise IngestError(
                    f"{path} changed while it was read, nothing of it was loaded: write under "
                    "another name, rename into the inbox when complete, then run ingest again"
                )
            batch.commit()
        finally:
            batch.kept.close()
        self.committed.add(batch_id)
        self._move(path, batch_id)
        return report

    def _move(self, path: Path, batch_id: str) -> None:
        path.chmod(PRIVATE_FILE)
        # The days until raw text is deleted count from now, not from when it was written.
        os.utime(path)
        target = self.home.processed / path.name
        number = 1
        while target.exists():
            target = self.home.processed / f"{batch_id[:12]}-{number}-{path.name}"
            number += 1
        shutil.move(path, target)


class _Batch:
    """One file on its way into the lake."""

    def __init__(self, loader: _Loader, report: FileReport) -> None:
        self.loader, self.report = loader, report
        self.stamp = Stamp(report.batch_id, loader.loaded_at)
        self.writer = BatchWriter(loader.home, report.batch_id)
        self.kept = RejectedWriter(loader.home, report.batch_id)
        self.rejections: list[Rejection] = []
        self.first: datetime | None = None
        self.last: datetime | None = None

    def read(self, path: Path, tell: Callable[[int], None]) -> None:
        """Read all blocks; a packed file that breaks off is refused as a whole."""
        reason = ""
        try:
            for lines, bytes_done in read_blocks(path, self.loader.block_bytes):
                self._block(lines)
                tell(bytes_done)
        except TruncatedFileError:
            reason, detail = "truncated_file", "the file ends before its end mark"
        except UnreadableFileError:
            reason, detail = "unreadable_file", "the packed data is damaged"
        if reason:
            self._take_back()
            self._reject(Rejection(None, None, reason, detail), None)

    def commit(self) -> None:
        """Write everything, the mark of the commit last."""
        report = self.report
        loaded_at = times.naive_utc(self.loader.loaded_at)
        ordered = sorted(self.rejections, key=lambda item: (item.line or 0, item.record or -1))
        self.writer.write_rejections(
            pa.table(
                [
                    [report.batch_id] * len(ordered),
                    [report.file_name] * len(ordered),
                    [item.line for item in ordered],
                    [item.record for item in ordered],
                    [item.reason for item in ordered],
                    [item.detail for item in ordered],
                    [loaded_at] * len(ordered),
                ],
                schema=REJECTIONS,
            )
        )
        self.kept.finish()
        report.rejected = dict(sorted(Counter(item.reason for item in ordered).items()))
        values = [
            report.batch_id,
            report.file_name,
            report.file_bytes,
            loaded_at,
            report.lines,
            report.records_in,
            report.well_formed,
            len(ordered),
            report.log_records,
            report.spans,
            report.span_events,
            self.first,
            self.last,
        ]
        self.writer.commit(pa.table([[value] for value in values], schema=BATCHES))

    def _block(self, lines: list[Line]) -> None:
        self.report.lines += len(lines)
        parsed = parse_block(lines, self.loader.schema)
        for line, refusal in parsed.refused:
            self._reject(Rejection(line.number, None, refusal.reason, refusal.detail), line.raw)
        loader = self.loader
        taken = [
            build_rows(flat, self.stamp, loader.keys, loader.policy, loader.pseudonyms)
            for flat in parsed.flats
        ]
        self.writer.add([rows.log_records for rows in taken], [rows.spans for rows in taken])
        for rows in taken:
            self._count(rows)
            self._reject_records(lines, rows.rejections)

    def _count(self, rows: Rows) -> None:
        self.report.log_records += rows.log_record_count
        self.report.span_events += rows.span_event_count
        self.report.spans += rows.spans.num_rows
        for table in (rows.log_records, rows.spans):
            if table.num_rows:
                bounds = pc.min_max(table["occurred_at"]).as_py()
                self.first = min(self.first or bounds["min"], bounds["min"])
                self.last = max(self.last or bounds["max"], bounds["max"])

    def _reject_records(self, lines: list[Line], rejections: Iterable[Rejection]) -> None:
        raw = {line.number: line.raw for line in lines} if rejections else {}
        current, request = None, None
        for rejection in rejections:
            if rejection.line is None or rejection.record is None:
                raise ValueError("a refused record stands in a line")
            if rejection.line != current:
                current, request = rejection.line, read_line(raw[rejection.line])
            if not isinstance(request, dict):
                raise TypeError("a line with records is an export request")
            self._reject(rejection, single_record_request(request, rejection.record))

    def _reject(self, rejection: Rejection, raw: bytes | None) -> None:
        self.rejections.append(rejection)
        self.kept.add(rejection, raw)

    def _take_back(self) -> None:
        self.kept.close()
        self.writer.discard()
        self.writer = BatchWriter(self.loader.home, self.report.batch_id)
        self.kept = RejectedWriter(self.loader.home, self.report.batch_id)
        self.rejections.clear()
        self.first = self.last = None
        report = self.report
        report.lines = report.log_records = report.spans = report.span_events = 0
