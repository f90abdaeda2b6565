"""One huge file and thousands of tiny ones: both load, and memory stays under 1 GB.

Run `make bench-big` (5 GB and 10,000 files: some minutes and 7 GB of disk), or
`python -m benchmarks.big_file GIGABYTES FILES`. Memory is the sum of the peaks of the process that
loads and of those that help it; it exits with 1 where that reaches 1 GB or a record is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from orchestration.ingest import Progress, load_inbox
from orchestration.lib.home import PROJECT_DIR
from simulator import simulate

DECLARATIONS = PROJECT_DIR / "seeds" / "declarations"
MEMORY_BYTES = 1 << 30
GIGABYTES = 5.0
FILES = 10_000


def simulated_lines(folder: Path) -> list[bytes]:
    """A simulated world's lines, the broken ones included."""
    simulate(folder, users=400, days=7, seed=3)
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.open("rb").readlines()]


def put_huge_file(inbox: Path, lines: list[bytes], size: int) -> None:
    """One file that repeats the lines until it has so many bytes."""
    content = b"".join(lines)
    with (inbox / "huge.jsonl").open("wb") as file:
        for _ in range(-(-size // len(content))):
            file.write(content)


def put_tiny_files(inbox: Path, count: int) -> None:
    """Files of one record each."""
    for number in range(count):
        record = {"timeUnixNano": str(1_700_000_000_000_000_000 + number)}
        request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        (inbox / f"{number:06}.jsonl").write_bytes(orjson.dumps(request) + b"\n")


def peak_bytes() -> int:
    """The peaks so far of this process and its children, together; shared pages count in each.

    Not ru_maxrss: that begins with what a process had before it became its program.
    """
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in (me, *children)]
    return sum(int(status.split("VmHWM:")[1].split()[0]) * 1024 for status in statuses)


def load(home: Path) -> None:
    """Load a home in this process and print what it took."""
    peaks = [0]

    def look(_: Progress) -> None:
        # helpers are gone when the load returns
        peaks[0] = max(peaks[0], peak_bytes())

    started = time.perf_counter()
    report = load_inbox(home, DECLARATIONS, progress=look)
    seconds = time.perf_counter() - started
    peak = max(peaks[0], peak_bytes())
    size = sum(file.file_bytes for file in report.files)
    sys.stdout.write(
        f"{len(report.files):,} files, {size / 1e9:.2f} GB, {report.records_in:,} records in "
        f"{seconds:.0f} s ({report.records_in / seconds:,.0f} records/s, "
        f"{1000 * seconds / len(report.files):,.1f} ms/file), peak memory {peak / 1e6:,.0f} MB\n"
    )
    if report.refused or not report.records_in or peak >= MEMORY_BYTES:
        sys.exit(1)


def main() -> None:
    """Make both inboxes and load each in a process of its own."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["load"]:
        load(Path(arguments[1]))
        return
    gigabytes = float(arguments[0]) if arguments else GIGABYTES
    files = int(arguments[1]) if len(arguments) > 1 else FILES
    with tempfile.TemporaryDirectory(dir=PROJECT_DIR / "target") as folder:
        root = Path(folder)
        world = root / "world"
        world.mkdir()
        lines = simulated_lines(world)
        for name in ("huge", "tiny"):
            inbox = root / name / "inbox"
            inbox.mkdir(parents=True)
            if name == "huge":
                put_huge_file(inbox, lines, int(gigabytes * 1e9))
            else:
                put_tiny_files(inbox, files)
            subprocess.run(
                [sys.executable, "-m", "benchmarks.big_file", "load", str(root / name)],
                cwd=PROJECT_DIR,
                check=True,
            )
            shutil.rmtree(root / name)


if __name__ == "__main__":
    main()
