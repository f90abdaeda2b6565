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
from typing import IO, Final

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
SIGNALS: Final = ("logs", "spans")
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


class _File:
    """One file while it is written, line by line, so that a day never has to fit into memory."""

    def __init__(self, name: str, signal: str, path: Path | None, rng: np.random.Generator) -> None:
        self.name = name
        self.signal = signal
        self.path = path
        self.rng = rng
        self.sink: IO[bytes] | gzip.GzipFile | None = None
        self.raw: IO[bytes] | None = None
        self.lines = 0
        self.records_in = 0
        self.duplicates = 0
        self.rejected = 0
        self.late = 0
        self.repeated: list[tuple[bytes, int]] = []
        if path is not None:
            self.raw = path.with_name(f"{path.name}.partial").open("wb")
            self.sink = self.raw
            if path.suffix == ".gz":
                # No time and no name in the header: the same content gives the same bytes.
                self.sink = gzip.GzipFile("", "wb", 3, self.raw, mtime=0)

    def add(self, line: bytes, size: int) -> None:
        """Writes a readable line with `size` records."""
        if self.sink is not None:
            self.sink.write(line)
        self.lines += 1
        self.records_in += size

    def add_records(self, records: list[str], repeat_share: float) -> None:
        """Writes records in requests of at most RECORDS_PER_LINE, and picks some to repeat."""
        make = logs_line if self.signal == "logs" else spans_line
        for at in range(0, len(records), planted.RECORDS_PER_LINE):
            part = records[at : at + planted.RECORDS_PER_LINE]
            line = make(part)
            self.add(line, len(part))
            if self.rng.random() < repeat_share:
                self.repeated.append((line, len(part)))

    def reject(self, line: bytes) -> None:
        """Writes a line that counts as one rejected record."""
        self.add(line, 1)
        self.rejected += 1

    def close(self) -> None:
        """Ends the file and gives it its final name."""
        for stream in (self.sink, self.raw):
            if stream is not None:
                stream.close()
        if self.path is not None:
            self.path.with_name(f"{self.path.name}.partial").replace(self.path)

    def report(self) -> FileReport:
        """Totals of the file."""
        return FileReport(
            name=self.name,
            lines=self.lines,
            records_in=self.records_in,
            duplicates=self.duplicates,
            rejected=self.rejected,
            late=self.late,
        )


class _World:
    """Generates the files of consecutive days."""

    def __init__(self, population: Population, faults: bool, suffix: str) -> None:
        self.population = population
        self.faults = faults
        self.suffix = suffix
        self.pending: dict[tuple[int, str], _Pending] = {}

    def run_day(self, day: int, out_dir: Path | None) -> tuple[list[FileReport], Counter[str]]:
        """Generates a day and writes its files, or only remembers what arrives later.

        Days must be asked for one after the other. None for `out_dir` writes nothing.
        """
        files = {signal: self._open(day, signal, out_dir) for signal in SIGNALS}
        counts: Counter[str] = Counter()
        arrived = {signal: self.pending.pop((day, signal), _Pending()) for signal in SIGNALS}
        for signal, file in files.items():
            # Once a week a line is repeated for certain, so that small worlds have the fault too.
            self._add(file, arrived[signal].records, is_certain=day % 7 == 3)
            file.late = len(arrived[signal].records)
        for block in range(block_count(self.population)):
            encoded = encode_block(
                self.population, generate_block(self.population, day, block), self.faults
            )
            counts.update(_counts(encoded))
            self._deliver(day, files["logs"], encoded.logs)
            self._deliver(day, files["spans"], encoded.spans)
            if encoded.internal:
                line = logs_line(encoded.internal, INTERNAL_SERVICE_NAME)
                files["logs"].add(line, len(encoded.internal))
        for signal, file in files.items():
            file.duplicates += len(arrived[signal].duplicates)
            self._add(file, arrived[signal].duplicates)
            counts["duplicate_records"] += file.duplicates
            if self.faults:
                self._spoil(day, file, arrived[signal].lines, counts)
            counts["late"] += file.late
            file.close()
        return [file.report() for file in files.values()], counts

    def _open(self, day: int, signal: str, out_dir: Path | None) -> _File:
        date_name = (self.population.start + timedelta(days=day)).isoformat()
        name = f"{date_name}-{signal}{self.suffix}"
        seed, days = self.population.seed, self.population.days
        rng = generator(seed, STREAM_LINES, days, day, SIGNALS.index(signal))
        return _File(name, signal, None if out_dir is None else out_dir / name, rng)

    def _add(self, file: _File, records: list[str], is_certain: bool = False) -> None:
        share = planted.DUPLICATE_LINE_SHARE if self.faults else 0.0
        file.add_records(records, 1.0 if is_certain and self.faults else share)

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
        self._add(file, today)

    def _later(self, day: int, signal: str) -> _Pending:
        return self.pending.setdefault((day, signal), _Pending())

    def _spoil(
        self, day: int, file: _File, lines: list[tuple[bytes, int]], counts: Counter[str]
    ) -> None:
        """Repeats whole lines, some of them a day later, and adds what nobody can use."""
        again = list(lines)
        for line in file.repeated:
            if file.rng.random() < 0.5 and day + 1 < self.population.days:
                self._later(day + 1, file.signal).lines.append(line)
            else:
                again.append(line)
        for content, size in again:
            file.add(content, size)
            file.duplicates += size
            counts["duplicate_lines"] += 1
            counts["records_in_duplicate_lines"] += size
        if file.signal == "logs":
            file.reject(logs_line([MISSING_TIME_RECORD]))
            counts["records_without_time"] += 1
        if file.signal == "logs" or day % 5 == 2:
            file.reject(MALFORMED_LINES[day % len(MALFORMED_LINES)] + b"\n")
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
    world = _World(population, faults, ".jsonl.gz" if compress else ".jsonl")
    for day in range(max(0, first_day - WARM_UP_DAYS), first_day):
        world.run_day(day, None)
    reports: list[FileReport] = []
    faults_seen: Counter[str] = Counter()
    for day in range(first_day, final_day + 1):
        files, counts = world.run_day(day, out_dir)
        faults_seen.update(counts)
        reports.extend(files)
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
