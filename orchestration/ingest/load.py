"""Loading: every inbox file becomes one batch of the lake, all of it or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest import times
from orchestration.ingest.errors import DiskFullError, HelperError, RefusedFileError
from orchestration.ingest.helpers import LARGE_FILE, Helpers, Made, default_count
from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.inbox import (
    InboxFile,
    RefusedFile,
    open_file,
    open_inbox,
    printable,
    refused,
    waiting,
)
from orchestration.ingest.keys import load_keys
from orchestration.ingest.lake import (
    BatchWriter,
    clean_uncommitted,
    committed_batches,
    ensure_lake,
)
from orchestration.ingest.lines import (
    BLOCK_BYTES,
    LIMITS,
    Block,
    Limits,
    Line,
    TruncatedFileError,
    UnreadableFileError,
    read_blocks,
)
from orchestration.ingest.privacy import load_privacy
from orchestration.ingest.rejected import RejectedWriter
from orchestration.ingest.replay import finish_pending, plan_replay, single_record_requests
from orchestration.ingest.rows import Rejection, Rows, Stamp
from orchestration.ingest.schema import BATCHES, PSEUDONYM_LINKS, REJECTIONS
from orchestration.ingest.strict import read_line
from orchestration.ingest.switch import finish_switch

# EFBIG: a limit on the size of a file, set by whoever started the process.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# A refused record is kept with its resource; of a line with a huge resource not each of thousands.
KEPT_RATIO = 8
KEPT_BYTES = 1 << 20
SHARED_BLOCK_BYTES = 8 << 20

Kept = tuple[Rejection, bytes | None]


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
        refused: the files that were left in the inbox, and why.
        loaded_at: the time that all rows of this load carry.
        seconds: how long it took.
    """

    files: list[FileReport]
    refused: list[RefusedFile]
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
    limits: Limits = LIMITS,
    wait_seconds: float = 0.0,
    helpers: int | None = None,
    large_file: int = LARGE_FILE,
) -> IngestReport:
    """Load every file of the inbox, in the order of their names.

    A file that cannot be taken stays where it is and stands in the report; the others are loaded.

    Args:
        home: ATTUNE_HOME; made if missing.
        declarations: ATTUNE_DECLARATIONS, whose tracking plan says what is private.
        loaded_at: the time of the load, with zone; now if absent.
        progress: called after every block.
        block_bytes: how much text is parsed at once.
        limits: what no honest file exceeds.
        wait_seconds: how long to wait for another process that loads this home.
        helpers: how many other processes help with large files; as the machine has cores if absent.
        large_file: the bytes from which on a file is large.

    Raises:
        IngestLockedError: another process loads this home.
        HelperError: a process that helped ended by itself.
        KeyFileError: the key file is missing though the lake was made with it, or unusable.
        DiskFullError: there is no room; files loaded before stay loaded, nothing else is left.
        IngestError: a declaration is wrong.
        ValueError: `loaded_at` has no zone.
    """
    moment = datetime.now(UTC) if loaded_at is None else loaded_at
    with _ready(Home(home), moment, wait_seconds) as paths:
        return _load(
            paths, declarations, moment, progress, block_bytes, limits, helpers, large_file
        )


def replay(
    home: Path,
    declarations: Path,
    *,
    loaded_at: datetime | None = None,
    progress: Callable[[Progress], None] | None = None,
    limits: Limits = LIMITS,
    wait_seconds: float = 0.0,
) -> IngestReport:
    """Load refused lines that would now be taken, each exactly once, with whatever is in the inbox.

    Arguments and errors are those of `load_inbox`; the lines come as a file of their own.
    """
    moment = datetime.now(UTC) if loaded_at is None else loaded_at
    with _ready(Home(home), moment, wait_seconds) as paths:
        plan_replay(paths, moment)
        return _load(paths, declarations, moment, progress, BLOCK_BYTES, limits, None, LARGE_FILE)


def _load(
    paths: Home,
    declarations: Path,
    moment: datetime,
    progress: Callable[[Progress], None] | None,
    block_bytes: int,
    limits: Limits,
    helpers: int | None,
    large_file: int,
) -> IngestReport:
    started = time.perf_counter()
    policy = load_privacy(declarations)
    keys = load_keys(paths.key_file(), create=not committed_batches(paths))
    makers = Helpers(keys, policy, default_count() if helpers is None else helpers, large_file)
    with open_inbox(paths.inbox) as inbox, closing(makers):
        loader = _Loader(paths, makers, moment, progress, block_bytes, limits, inbox)
        names = waiting(inbox)
        for number, name in enumerate(names, 1):
            loader.load(name, number, len(names))
    return IngestReport(loader.reports, loader.refused, moment, time.perf_counter() - started)


@contextmanager
def _ready(home: Home, moment: datetime, wait_seconds: float) -> Iterator[Home]:
    """The home, locked, with its folders, and nothing half done in it."""
    times.naive_utc(moment)
    with one_ingest_at_a_time(home, wait_seconds), _room_on(home):
        ensure_lake(home.root)
        clean_uncommitted(home)
        finish_switch(home)
        finish_pending(home)
        yield home


@contextmanager
def _room_on(home: Home) -> Iterator[None]:
    """Clean up and say so where a disk is full; the caller holds the lock."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        clean_uncommitted(home)
        usage = shutil.disk_usage(home.root)
        raise DiskFullError(
            f"no room in {home.root}: {os.strerror(error.errno)} ({usage.free / 1e6:,.0f} MB of "
            f"{usage.total / 1e6:,.0f} MB are free); the file being loaded stays in the "
            "inbox, nothing of it is in the lake; the files before it are loaded; make room, then "
            "run ingest again"
        ) from error


class _Loader:
    def __init__(
        self,
        home: Home,
        makers: Helpers,
        loaded_at: datetime,
        progress: Callable[[Progress], None] | None,
        block_bytes: int,
        limits: Limits,
        inbox: int,
    ) -> None:
        self.home, self.makers = home, makers
        self.loaded_at, self.progress = loaded_at, progress
        self.block_bytes, self.limits, self.inbox = block_bytes, limits, inbox
        self.committed = committed_batches(home)
        self.reports: list[FileReport] = []
        self.refused: list[RefusedFile] = []

    def load(self, name: str, file_number: int, file_count: int) -> None:
        """Load one file and move it to `processed/`, or leave it where it is and say why."""
        try:
            with open_file(self.inbox, name) as file:
                report = FileReport(printable(name), file.batch_id, file.size)
                if file.batch_id in self.committed:
                    report.is_already_loaded = True
                else:
                    self._load(file, report, file_number, file_count)
                    self.committed.add(file.batch_id)
                self.reports.append(report)
                file.move_to(self.home.processed)
        except RefusedFileError as error:
            self.refused.append(refused(name, error))

    def _load(self, file: InboxFile, report: FileReport, file_number: int, file_count: int) -> None:
        def tell(bytes_done: int) -> None:
            if self.progress is not None:
                self.progress(
                    Progress(
                        report.file_name,
                        file_number,
                        file_count,
                        bytes_done,
                        file.size,
                        report.well_formed,
                    )
                )

        batch = _Batch(self, report)
        try:
            batch.read(file, tell)
            file.check_unchanged()
            batch.commit()
        except (RefusedFileError, HelperError, OSError):
            batch.discard()
            raise
        finally:
            batch.kept.close()


class _Batch:
    """One file on its way into the lake."""

    def __init__(self, loader: _Loader, report: FileReport) -> None:
        self.loader, self.report = loader, report
        self.stamp = Stamp(report.batch_id, loader.loaded_at)
        self.writer = BatchWriter(loader.home, report.batch_id)
        self.kept = RejectedWriter(loader.home, report.batch_id)
        self.rejected: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def read(self, file: InboxFile, tell: Callable[[int], None]) -> None:
        """Read all blocks; a packed file that breaks off is refused as a whole."""
        reason = ""
        loader = self.loader
        is_large = loader.makers.is_large(file.size)
        # smaller ones, so that all who help have something to do to the end
        block_bytes = min(loader.block_bytes, SHARED_BLOCK_BYTES if is_large else BLOCK_BYTES)
        blocks = read_blocks(file, block_bytes, loader.limits)
        try:
            for block, made in loader.makers.each(blocks, self.stamp, is_large=is_large):
                self._block(block, made)
                tell(block.bytes_done)
        except TruncatedFileError:
            reason, detail = "truncated_file", "the file ends before its end mark"
        except UnreadableFileError:
            reason, detail = "unreadable_file", "the packed data is damaged"
        if reason:
            self.discard()
            self._reject([(Rejection(None, None, reason, detail), None)])

    def commit(self) -> None:
        """Write everything, the mark of the commit last."""
        report = self.report
        loaded_at = times.naive_utc(self.loader.loaded_at)
        self.kept.finish()
        report.rejected = dict(sorted(self.rejected.items()))
        values = [
            report.batch_id,
            report.file_name,
            report.file_bytes,
            loaded_at,
            report.lines,
            report.records_in,
            report.well_formed,
            self.rejected.total(),
            report.log_records,
            report.spans,
            report.span_events,
            self.first,
            self.last,
        ]
        self._write_links(loaded_at)
        self.writer.commit(pa.table([[value] for value in values], schema=BATCHES))
        self.loader.makers.forget_links()

    def _write_links(self, loaded_at: datetime) -> None:
        links, keys = self.loader.makers.new_links(), self.loader.makers.keys
        if links:
            same = [keys.active, keys.oldest, self.report.batch_id, loaded_at]
            columns = [[value] * len(links) for value in same]
            self.writer.write_links(
                pa.table([list(links), list(links.values()), *columns], schema=PSEUDONYM_LINKS)
            )

    def discard(self) -> None:
        """Take back everything of the batch."""
        self.kept.discard()
        self.writer.discard()
        self.writer = BatchWriter(self.loader.home, self.report.batch_id)
        self.rejected.clear()
        self.first = self.last = None
        report = self.report
        report.lines = report.log_records = report.spans = report.span_events = 0

    def _block(self, block: Block, made: Made) -> None:
        self.report.lines += len(block.lines) + len(block.too_long)
        taken = made.rows
        self.writer.add([rows.log_records for rows in taken], [rows.spans for rows in taken])
        for rows in taken:
            self._count(rows)
        refused_records = [rejection for rows in taken for rejection in rows.rejections]
        self._reject(
            [
                *self._too_long(block.too_long),
                *(
                    (Rejection(line.number, None, refusal.reason, refusal.detail), line.raw)
                    for line, refusal in made.refused
                ),
            ],
            self._single_records(block.lines, refused_records),
        )

    def _count(self, rows: Rows) -> None:
        self.report.log_records += rows.log_record_count
        self.report.span_events += rows.span_event_count
        self.report.spans += rows.spans.num_rows
        for table in (rows.log_records, rows.spans):
            if table.num_rows:
                bounds = pc.min_max(table["occurred_at"]).as_py()
                self.first = min(self.first or bounds["min"], bounds["min"])
                self.last = max(self.last or bounds["max"], bounds["max"])

    def _too_long(self, numbers: list[int]) -> Iterator[Kept]:
        limits = self.loader.limits
        detail = f"more than {limits.line_bytes:,} bytes or {limits.line_objects:,} objects"
        for number in numbers:
            yield Rejection(number, None, "line_too_long", detail), None

    def _single_records(self, lines: list[Line], rejections: list[Rejection]) -> Iterator[Kept]:
        """Each refused record as a request of its own."""
        raw = {line.number: line.raw for line in lines} if rejections else {}
        for number, group in groupby(rejections, key=lambda rejection: rejection.line):
            if number is None:
                raise ValueError("a refused record stands in a line")
            request = read_line(raw[number])
            if not isinstance(request, dict):
                raise TypeError("a line with records is an export request")
            refused_records = list(group)
            singles = single_record_requests(
                request,
                [rejection.record or 0 for rejection in refused_records],
                KEPT_BYTES + KEPT_RATIO * len(raw[number]),
            )
            yield from zip(refused_records, singles, strict=True)

    def _reject(self, *kept: Iterable[Kept]) -> None:
        rejections = []
        for rejection, raw in chain(*kept):
            self.kept.add(rejection, raw)
            rejections.append(rejection)
        if not rejections:
            return
        rejections.sort(key=lambda item: (item.line or 0, item.record or -1))
        self.rejected.update(item.reason for item in rejections)
        count, report = len(rejections), self.report
        self.writer.add_rejections(
            pa.table(
                [
                    [report.batch_id] * count,
                    [report.file_name] * count,
                    [item.line for item in rejections],
                    [item.record for item in rejections],
                    [item.reason for item in rejections],
                    [item.detail for item in rejections],
                    [times.naive_utc(self.loader.loaded_at)] * count,
                ],
                schema=REJECTIONS,
            )
        )
