"""Kill -9, two at once, a full disk: what is in the home afterwards is what a clean run leaves."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingest import (
    DiskFullError,
    IngestError,
    IngestLockedError,
    load_inbox,
    replay,
)
from orchestration.ingest.home import Home, one_ingest_at_a_time
from tests.orchestration.ingest.homes import assert_balanced, contents
from tests.orchestration.ingest.otlp import lines, log, request, span_request

KILLS = 50
DAY_NANOS = 86_400_000_000_000
BLOCK_BYTES = 4_000

# One process imports once; each attempt is a child of it that loads until it is killed.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from orchestration.ingest import load_inbox

home, declarations = Path(sys.argv[1]), Path(sys.argv[2])
kills, block_bytes, longest = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
chance = random.Random(7)
killed = 0
while killed < kills and os.listdir(home / "inbox"):
    child = os.fork()
    if child == 0:
        load_inbox(home, declarations, block_bytes=block_bytes)
        os._exit(0)
    time.sleep(chance.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(killed)
"""


def several_days(name: str, requests: int) -> bytes:
    """Good and bad lines, logs and spans, of three days, over several blocks."""
    start = 1_700_000_000_000_000_000
    content = b"not json\n"
    for number in range(requests):
        content += lines(
            request(*(log(name, nanos=start + day * DAY_NANOS + number) for day in range(3))),
            span_request({"name": name, "startTimeUnixNano": str(start + number)}),
            request(log(name, nanos=1 + number)),
        )
    return content


def clean_home(home: Path, path: Path, declarations: Path) -> dict[str, Any]:
    """What a home holds after its inbox was loaded in one go, under the same keys."""
    shutil.copytree(home, path)
    load_inbox(path, declarations, block_bytes=BLOCK_BYTES)
    return contents(path)


@pytest.fixture
def started(home: Path, declarations: Path) -> Path:
    """A home that has its keys."""
    load_inbox(home, declarations)
    return home


def test_fifty_kills_leave_what_a_clean_run_leaves(
    started: Path, declarations: Path, tmp_path: Path
) -> None:
    files = 60
    for number in range(files):
        name = f"{number:02}.jsonl"
        (started / "inbox" / name).write_bytes(several_days(name, 3 + number % 5))
    began = time.monotonic()
    expected = clean_home(started, tmp_path / "clean", declarations)
    seconds_a_file = (time.monotonic() - began) / files
    arguments = [str(started), str(declarations), str(KILLS), str(BLOCK_BYTES)]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *arguments, str(2 * seconds_a_file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == KILLS, done.stderr
    loaded = len(list((started / "processed").iterdir()))
    assert 0 < loaded < files, "the kills came before or after the load"
    load_inbox(started, declarations, block_bytes=BLOCK_BYTES)
    assert contents(started) == expected
    assert_balanced(started)
    assert not list(started.rglob("*.tmp"))


def test_a_second_ingest_waits_for_the_first(
    started: Path, declarations: Path, tmp_path: Path
) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (started / "inbox" / name).write_bytes(several_days(name, 10))
    expected = clean_home(started, tmp_path / "clean", declarations)
    loads: list[int] = []

    def second() -> None:
        report = load_inbox(started, declarations, wait_seconds=60)
        loads.append(len(report.files))

    waiter = threading.Thread(target=second)

    def start_second(_: object) -> None:
        if not waiter.ident:
            waiter.start()
            while waiter.is_alive() and not _is_waited_for(started):
                time.sleep(0.01)

    first = load_inbox(
        started, declarations, progress=start_second, block_bytes=BLOCK_BYTES, wait_seconds=60
    )
    waiter.join()
    assert (len(first.batch_ids), loads) == (2, [0])
    assert contents(started) == expected


def _is_waited_for(home: Path) -> bool:
    """Whether two descriptors of this process are open on the lock."""
    lock = (home / "ingest.lock").stat().st_ino
    opened = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            opened += entry.stat().st_ino == lock
        except FileNotFoundError:
            continue
    return opened == 2


def test_a_second_ingest_that_waited_enough_names_the_holder(
    started: Path, declarations: Path
) -> None:
    with one_ingest_at_a_time(Home(started)):
        for run in (load_inbox, replay):
            with pytest.raises(IngestLockedError) as found:
                run(started, declarations, wait_seconds=0.1)
            assert f"held by process {os.getpid()} since 20" in str(found.value)
            assert "waited 0.1 s" in str(found.value)


def test_the_lock_of_a_killed_process_blocks_nobody(started: Path, declarations: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; "
        "from orchestration.ingest.home import Home, one_ingest_at_a_time\n"
        "with one_ingest_at_a_time(Home(Path(sys.argv[1]))): print('held', flush=True); "
        "time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(started)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IngestLockedError, match=f"process {holder.pid} since"):
            load_inbox(started, declarations)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    load_inbox(started, declarations)


class FullDisk:
    """Lets so many files be put into place, then every write fails until there is room."""

    def __init__(self, patch: pytest.MonkeyPatch, after: int, code: int) -> None:
        self.left, self.code = after, code
        self.fsync, self.pwrite = os.fsync, os.pwrite
        patch.setattr(os, "fsync", self.failing_fsync)
        patch.setattr(os, "pwrite", self.failing_pwrite)

    def failing_fsync(self, descriptor: int) -> None:
        self.use()
        self.fsync(descriptor)

    def failing_pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self.use()
        return self.pwrite(descriptor, data, offset)

    def use(self) -> None:
        if self.left == 0:
            raise OSError(self.code, os.strerror(self.code))
        self.left -= 1


@pytest.mark.parametrize("after", [0, 1, 4, 9, 15, 22])
def test_a_full_disk_is_said_clearly_and_leaves_nothing_half_landed(
    started: Path,
    declarations: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (started / "inbox" / name).write_bytes(several_days(name, 10))
    expected = clean_home(started, tmp_path / "clean", declarations)
    code = (errno.ENOSPC, errno.EDQUOT)[after % 2]
    with monkeypatch.context() as patch:
        FullDisk(patch, after, code)
        with pytest.raises(DiskFullError) as found:
            load_inbox(started, declarations, block_bytes=BLOCK_BYTES)
    assert f"no room in {started}: {os.strerror(code)}" in str(found.value)
    assert "make room, then run ingest again" in str(found.value)
    assert_balanced(started)
    assert not list(started.rglob("*.tmp"))
    load_inbox(started, declarations, block_bytes=BLOCK_BYTES)
    assert contents(started) == expected


def test_a_real_limit_on_file_size_is_said_and_passes(
    started: Path, declarations: Path, tmp_path: Path
) -> None:
    (started / "inbox" / "a.jsonl").write_bytes(several_days("a", 600))
    (started / "inbox" / "b.jsonl").write_bytes(several_days("b", 1))
    expected = clean_home(started, tmp_path / "clean", declarations)
    program = (
        "import sys; from pathlib import Path; from orchestration.ingest import load_inbox; "
        "load_inbox(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    size = 40_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run(
        [sys.executable, "-c", program, str(started), str(declarations)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert "DiskFullError: no room in" in done.stderr, done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert contents(started)["batches"] == []
    assert_balanced(started)
    load_inbox(started, declarations)
    assert contents(started) == expected


def test_a_disk_that_fills_during_a_replay_loses_no_line(
    started: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    (started / "inbox" / "a.jsonl").write_bytes(b"{\n" + b"not json\n")
    load_inbox(started, declarations)
    (kept,) = (started / "rejected").iterdir()
    raw = lines(request(log("corrected"))).decode()
    kept.write_text(kept.read_text().replace('"raw":"{"', f'"raw":{_quoted(raw)}'))
    for after in chance.sample(range(8), 8):
        with monkeypatch.context() as patch:
            FullDisk(patch, after, errno.ENOSPC)
            try:
                replay(started, declarations)
            except IngestError as error:
                assert isinstance(error, DiskFullError)  # noqa: PT017 (some steps have room)
    replay(started, declarations)
    rows = contents(started)["log_records"]
    assert [row[1] for row in rows] == ["corrected"]


def _quoted(text: str) -> str:
    return '"' + text.strip().replace('"', '\\"') + '"'
