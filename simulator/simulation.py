"""Writes a simulated world as OTLP/JSON files, day by day.

A day's files depend on the world and on at most the few days before it (whose late and repeated
records arrive with it), so a caller can emit a world in parts and get the same bytes as at once.
"""

import gzip
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from simulator import planted
from simulator.behaviour import block_count, generate_block
from simulator.encoding import (
    INTERNAL_SERVICE_NAME,
    MALFORMED_LINES,
    EncodedBlock,
    Outbox,
    encode_block,
    logs_line,
    spans_line,
)
from simulator.population import STREAM_LINES, Population, build_population, generator
from simulator.truth import write_truth

# A record may arrive MAX_LATE_DAYS late, its copy one day after that, and the line that carries
# the copy may be sent again one more day later.
WARM_UP_DAYS: Final = planted.MAX_LATE_DAYS + 2
MISSING_TIME_RECORD: Final = (
    '{"severityNumber":9,"body":{},"attributes":[],"traceId":"","spanId":"",'
    '"eventName":"assistant.response.shown"}'
)
DEFAULT_START: Final = date(2026, 3, 2)


@dataclass(frozen=True)
class FileReport:
    """What one written file holds, in the terms of the telemetry ledger.

    records_in = accepted + duplicates + rejected; an unreadable line counts as one record.
    """

    name: str
    lines: int
    records_in: int
    duplicates: int
    rejected: int
    late: int


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation wrote. `faults` counts each kind of fault over all files written."""

    users: int
    days: int
    first_day: int
    last_day: int
    seconds: float
    files: tuple[FileReport, ...]
    faults: dict[str, int]
    truth_tables: tuple[str, ...]

    @property
    def records(self) -> int:
        """Readable records written, second copies included."""
        return sum(file.records_in for file in self.files) - self.faults["malformed_lines"]

    @property
    def records_per_second(self) -> float:
        """Records written per second of wall clock."""
        return self.records / self.seconds if self.seconds > 0 else 0.0


@dataclass
class _Pending:
    """What already happened but arrives with a later day's file."""

    records: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    lines: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass
class _File:
    """The lines of one file and what they hold."""

    name: str
    signal: int
    lines: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    records_in: int = 0
    duplicates: int = 0
    rejected: int = 0
    late: int = 0

    def add(self, line: bytes, size: int) -> None:
        """Adds a readable line with `size` records."""
        self.lines.append(line)
        self.sizes.append(size)
        self.records_in += size

    def add_records(self, records: list[str]) -> None:
        """Adds records in requests of at most RECORDS_PER_LINE."""
        make = logs_line if self.signal == 0 else spans_line
        for at in range(0, len(records), planted.RECORDS_PER_LINE):
            part = records[at : at + planted.RECORDS_PER_LINE]
            self.add(make(part), len(part))

    def report(self) -> FileReport:
        """Totals of the file."""
        return FileReport(
            self.name, len(self.lines), self.records_in, self.duplicates, self.rejected, self.late
        )


SIGNALS: Final = ("logs", "spans")


class _World:
    """Generates the files of consecutive days."""

    def __init__(self, population: Population, faults: bool) -> None:
        self.population = population
        self.faults = faults
        self.pending: dict[tuple[int, int], _Pending] = {}

    def files_of(self, day: int) -> tuple[list[_File], Counter[str]]:
        """The files of a day; days must be asked for one after the other."""
        day_name = (self.population.start + timedelta(days=day)).isoformat()
        files = [_File(f"{day_name}-{name}.jsonl", signal) for signal, name in enumerate(SIGNALS)]
        counts: Counter[str] = Counter()
        arrived = [self.pending.pop((day, signal), _Pending()) for signal in range(len(SIGNALS))]
        for file, pending in zip(files, arrived, strict=True):
            file.late = len(pending.records)
            file.add_records(pending.records)
        for block in range(block_count(self.population)):
            encoded = encode_block(
                self.population, generate_block(self.population, day, block), self.faults
            )
            counts.update(_counts(encoded))
            for file, outbox in zip(files, (encoded.logs, encoded.spans), strict=True):
                self._deliver(day, file, outbox)
            if encoded.internal:
                files[0].add(
                    logs_line(encoded.internal, INTERNAL_SERVICE_NAME), len(encoded.internal)
                )
        for file, pending in zip(files, arrived, strict=True):
            file.duplicates += len(pending.duplicates)
            file.add_records(pending.duplicates)
            if self.faults:
                self._spoil(day, file, pending, counts)
        counts["late"] = sum(file.late for file in files)
        counts["duplicate_records"] = sum(file.duplicates for file in files)
        counts["duplicate_records"] -= counts["records_in_duplicate_lines"]
        return files, counts

    def _deliver(self, day: int, file: _File, outbox: Outbox) -> None:
        order = np.argsort(np.array(outbox.observed_us, dtype=np.int64), kind="stable").tolist()
        today = []
        for index in order:
            file_day = outbox.file_day[index]
            if file_day == day:
                today.append(outbox.records[index])
            else:
                self._later(file_day, file.signal).records.append(outbox.records[index])
        for file_day, record in outbox.duplicates:
            if file_day == day:
                today.append(record)
                file.duplicates += 1
            else:
                self._later(file_day, file.signal).duplicates.append(record)
        file.add_records(today)

    def _later(self, day: int, signal: int) -> _Pending:
        return self.pending.setdefault((day, signal), _Pending())

    def _spoil(self, day: int, file: _File, pending: _Pending, counts: Counter[str]) -> None:
        """Repeats whole lines and adds lines and records that nobody can use."""
        rng = generator(self.population.seed, STREAM_LINES, self.population.days, day, file.signal)
        is_repeated = rng.random(len(file.lines)) < planted.DUPLICATE_LINE_SHARE
        repeats = np.flatnonzero(is_repeated).tolist()
        if day % 7 == 3 and file.lines and not repeats:
            repeats = [0]
        later = (rng.random(len(repeats)) < 0.5).tolist()
        repeated = list(pending.lines)
        for index, is_later in zip(repeats, later, strict=True):
            line = (file.lines[index], file.sizes[index])
            if is_later and day + 1 < self.population.days:
                self._later(day + 1, file.signal).lines.append(line)
            else:
                repeated.append(line)
        for content, size in repeated:
            file.add(content, size)
            file.duplicates += size
            counts["duplicate_lines"] += 1
            counts["records_in_duplicate_lines"] += size
        if file.signal == 0:
            file.add(logs_line([MISSING_TIME_RECORD]), 1)
            file.rejected += 1
            counts["records_without_time"] += 1
        if file.signal == 0 or day % 5 == 2:
            file.lines.insert(
                len(file.lines) // 2, MALFORMED_LINES[day % len(MALFORMED_LINES)] + b"\n"
            )
            file.records_in += 1
            file.rejected += 1
            counts["malformed_lines"] += 1


def _counts(encoded: EncodedBlock) -> Counter[str]:
    return Counter(
        {
            "undeclared_events": encoded.undeclared,
            "bot_records": encoded.bots,
            "internal_records": len(encoded.internal),
            "resent_by_uid": encoded.resent,
        }
    )


def simulate(
    out_dir: Path,
    *,
    truth_dir: Path | None = None,
    users: int = 2000,
    days: int = 28,
    start: date = DEFAULT_START,
    seed: int = 7,
    faults: bool = True,
    first_day: int = 0,
    last_day: int | None = None,
    compress: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> SimulationReport:
    """Writes the telemetry of an assistant's users.

    Two files a day, `<date>-logs.jsonl` and `<date>-spans.jsonl`, appear in `out_dir` complete
    (written under another name, then renamed). The same arguments give the same bytes, and the
    days `first_day` to `last_day` (both included, counted from 0) the bytes that they have in the
    whole run. All events happen within `days` days from `start`, in UTC.

    Args:
        out_dir: where the files go; made if it is missing.
        truth_dir: where the planted truth goes as Parquet; None writes none. It holds raw user ids
            and must not be the inbox.
        users: number of users.
        days: length of the world in days.
        start: first day of the world.
        seed: every random draw follows from it.
        faults: whether the delivery is faulty: late and repeated records, malformed lines,
            undeclared events, an internal service, bots. The faults of the experiments themselves
            (lost exposures, units in two variants, failed evaluations) are always there.
        first_day: first day to emit.
        last_day: last day to emit; None is the last of the world.
        compress: whether to write `.jsonl.gz`.
        progress: called after every day with days done, days to do and records written.

    Raises:
        ValueError: an argument is out of range, or the truth would go into the inbox.
    """
    final_day = days - 1 if last_day is None else last_day
    if users < 1 or days < 1:
        raise ValueError(f"users ({users}) and days ({days}) must be at least 1")
    if seed < 0:
        raise ValueError(f"seed ({seed}) must not be negative")
    if not 0 <= first_day <= final_day < days:
        raise ValueError(
            f"first_day ({first_day}) and last_day ({final_day}) must be ordered days "
            f"from 0 to {days - 1}"
        )
    if truth_dir is not None and truth_dir.resolve() == out_dir.resolve():
        raise ValueError(f"truth_dir must not be the inbox {out_dir}: it holds raw user ids")
    began = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    population = build_population(users, days, start, seed)
    tables = write_truth(population, truth_dir) if truth_dir is not None else []
    world = _World(population, faults)
    for day in range(max(0, first_day - WARM_UP_DAYS), first_day):
        world.files_of(day)
    reports: list[FileReport] = []
    faults_seen: Counter[str] = Counter()
    for day in range(first_day, final_day + 1):
        files, counts = world.files_of(day)
        faults_seen.update(counts)
        for file in files:
            name = _write(out_dir, file, compress)
            report = file.report()
            reports.append(FileReport(**{**vars(report), "name": name}))
        if progress is not None:
            written = sum(report.records_in for report in reports)
            progress(day - first_day + 1, final_day - first_day + 1, written)
    kinds = (
        "late",
        "duplicate_records",
        "duplicate_lines",
        "records_in_duplicate_lines",
        "resent_by_uid",
        "records_without_time",
        "malformed_lines",
        "undeclared_events",
        "internal_records",
        "bot_records",
    )
    return SimulationReport(
        users=users,
        days=days,
        first_day=first_day,
        last_day=final_day,
        seconds=time.perf_counter() - began,
        files=tuple(reports),
        faults={kind: faults_seen[kind] for kind in kinds},
        truth_tables=tuple(tables),
    )


def _write(out_dir: Path, file: _File, compress: bool) -> str:
    name = file.name + (".gz" if compress else "")
    partial = out_dir / f"{name}.partial"
    content = b"".join(file.lines)
    # No time and no name in the gzip header: the same content gives the same bytes.
    partial.write_bytes(gzip.compress(content, compresslevel=3, mtime=0) if compress else content)
    partial.replace(out_dir / name)
    return name
