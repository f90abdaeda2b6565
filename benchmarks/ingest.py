"""How fast ingest is beside DuckDB's JSON functions and beside `pyarrow.json`'s parse alone.

Run `make bench`. All read the same file on two cores, interleaved, each time in a process of its
own; the medians, their ratios and where the time goes are printed. What the numbers mean stands in
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.json as pj

from benchmarks import same_work
from orchestration.ingest import load_inbox
from orchestration.ingest.fast import request_schema
from orchestration.ingest.privacy import load_privacy
from orchestration.ingest.strict import check_request, read_line
from orchestration.lib.home import PROJECT_DIR
from simulator import simulate

DECLARATIONS = PROJECT_DIR / "seeds" / "declarations"
CORES = 2
USERS, DAYS, SEED = 1200, 21, 3
BROKEN_EVERY = 100
# DuckDB's SQL takes the few simulated records whose time attune refuses.
MOST_REFUSED = 0.001
ARROW_BLOCK_BYTES = 4 << 20
STAGES = (
    ("read lines", "lines.py", "read_blocks"),
    ("parse JSON (Arrow)", "fast.py", "parse_lines"),
    ("flatten", "fast.py", "flatten"),
    ("sort keys and attributes", "canonical.py", "__init__"),
    ("canonical bytes", "canonical.py", "canonical"),
    ("event ids (HMAC)", "keys.py", "event_ids"),
    ("inherit from resource and span", "inherit.py", "merge"),
    ("pseudonyms and redaction", "redact.py", "redact"),
    ("Parquet by day", "lake.py", "add"),
    ("commit and ledger", "lake.py", "commit"),
)


@dataclass(frozen=True)
class Run:
    """One timed run: records, seconds on the clock, seconds of all cores."""

    records: int
    wall: float
    cpu: float


def put_files(folder: Path) -> tuple[Path, Path]:
    """A simulated world's requests in one file, and again with one line in a hundred cut."""
    world = folder / "world"
    world.mkdir()
    simulate(world, users=USERS, days=DAYS, seed=SEED)
    clean, broken = folder / "clean.jsonl", folder / "broken.jsonl"
    number = 0
    with clean.open("wb") as clean_file, broken.open("wb") as broken_file:
        for path in sorted(world.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                request = read_line(line)
                if not isinstance(request, dict) or check_request(request) is not None:
                    continue
                number += 1
                clean_file.write(line + b"\n")
                cut = line[: len(line) // 2] if number % BROKEN_EVERY == 0 else line
                broken_file.write(cut + b"\n")
    shutil.rmtree(world)
    return clean, broken


def attune(source: Path, folder: Path, helpers: int | None = None) -> int:
    """Load the file into a new home."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "inbox" / source.name).hardlink_to(source)
    report = load_inbox(folder, DECLARATIONS, helpers=helpers)
    return report.well_formed + sum(file.span_events for file in report.files)


def duckdb_json(source: Path, folder: Path) -> int:
    """Do the same work in SQL."""
    return same_work.run(source, folder, load_privacy(DECLARATIONS), CORES)


def arrow_parse(source: Path, _folder: Path) -> int:
    """Parse only, into one table of requests."""
    pa.set_cpu_count(CORES)
    table = pj.read_json(
        source,
        read_options=pj.ReadOptions(use_threads=True, block_size=ARROW_BLOCK_BYTES),
        parse_options=pj.ParseOptions(explicit_schema=request_schema()),
    )
    return int(table.num_rows)


WAYS: dict[str, Callable[[Path, Path], int]] = {
    "attune": attune,
    "DuckDB JSON functions": duckdb_json,
    "pyarrow.json parse alone": arrow_parse,
}


def timed(way: str, source: Path, folder: Path) -> Run:
    """Run one way in a process of its own, without the time of its imports."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--one", way, str(source), str(folder)]
    output = subprocess.run(
        command, cwd=PROJECT_DIR, check=True, capture_output=True, text=True
    ).stdout
    shutil.rmtree(folder, ignore_errors=True)
    return Run(**orjson.loads(output))


def one(way: str, source: Path, folder: Path) -> None:
    """Time one way in this process."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    records = WAYS[way](source, folder)
    wall = time.perf_counter() - wall
    run = {"records": records, "wall": wall, "cpu": _cpu_seconds() - cpu}
    sys.stdout.write(orjson.dumps(run).decode())


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def profile(source: Path, folder: Path) -> list[tuple[str, float]]:
    """CPU seconds by stage of one load under the profiler, in this process."""
    profiler = cProfile.Profile(time.process_time)
    started = time.process_time()
    profiler.runcall(attune, source, folder, helpers=0)
    total = time.process_time() - started
    shutil.rmtree(folder)
    seen = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    stages = []
    for label, file_name, function in STAGES:
        seconds = sum(
            stat[3]
            for (path, _, name), stat in seen.items()
            if path.endswith(f"ingest/{file_name}") and name == function
        )
        stages.append((label, seconds))
    stages.append(("everything else", total - sum(seconds for _, seconds in stages)))
    return stages


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def compare(folder: Path, repetitions: int) -> None:
    """Make the files, run everything, print the tables."""
    clean, broken = put_files(folder)
    runs: dict[str, list[Run]] = {name: [] for name in (*WAYS, "attune, 1% of lines broken")}
    for number in range(1, repetitions + 1):
        for name, found in runs.items():
            way, source = (name, clean) if name in WAYS else ("attune", broken)
            found.append(timed(way, source, folder / "run"))
        say(f"round {number} of {repetitions} done")
    # The parse alone counts requests, not what is in them.
    records = {name: found[0].records for name, found in runs.items()}
    records["pyarrow.json parse alone"] = records["attune"]
    extra = records["DuckDB JSON functions"] - records["attune"]
    if not 0 <= extra <= MOST_REFUSED * records["attune"]:
        say(f"DuckDB wrote {extra:,} rows more than attune: not the same work")
        sys.exit(1)
    size = clean.stat().st_size / 1e6
    say(f"\n{records['attune']:,} records, {size:,.0f} MB, medians of {repetitions} rounds\n")
    say(f"{'':28}{'records/s':>12}{'MB/s':>8}{'s':>8}{'CPU s':>8}")
    wall, cpu = {}, {}
    for name, found in runs.items():
        seconds = statistics.median(run.wall for run in found)
        busy = statistics.median(run.cpu for run in found)
        wall[name], cpu[name] = records[name] / seconds, records[name] / busy
        say(f"{name:28}{wall[name]:12,.0f}{size / seconds:8.1f}{seconds:8.2f}{busy:8.2f}")
    say(f"\n{'speed of attune':46}{'clock':>8}{'CPU':>8}{'goal':>8}")
    for label, other, goal in (
        ("times DuckDB's JSON functions, same work", "DuckDB JSON functions", ">= 5"),
        ("of pyarrow.json's parse alone", "pyarrow.json parse alone", ">= 0.45"),
    ):
        say(
            f"{label:46}{wall['attune'] / wall[other]:8.2f}"
            f"{cpu['attune'] / cpu[other]:8.2f}{goal:>8}"
        )
    part = [speed["attune, 1% of lines broken"] / speed["attune"] for speed in (wall, cpu)]
    say(
        f"{'1% of lines broken, of the speed without':46}{part[0]:8.2f}{part[1]:8.2f}{'>= 0.67':>8}"
    )
    stages = profile(clean, folder / "run")
    total = sum(seconds for _, seconds in stages)
    say("\nWhere the time goes (CPU seconds under the profiler)")
    for label, seconds in stages:
        say(f"{label:32}{seconds:8.2f} s{seconds / total:8.1%}")


def main() -> None:
    """Compare, or time one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "FILE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], Path(arguments.one[1]), Path(arguments.one[2]))
        return
    (PROJECT_DIR / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT_DIR / "target") as folder:
        compare(Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
