"""Where everything of one ATTUNE_HOME lies, so that no other module spells a path."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from orchestration.ingest.errors import IngestLockedError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
LOCK_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Home:
    """The folders and files below one ATTUNE_HOME."""

    root: Path

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def log_records(self) -> Path:
        return self.lake / "log_records"

    @property
    def spans(self) -> Path:
        return self.lake / "spans"

    @property
    def batches(self) -> Path:
        return self.lake / "batches"

    @property
    def rejections(self) -> Path:
        return self.lake / "rejections"

    @property
    def pseudonym_links(self) -> Path:
        return self.lake / "pseudonym_links"

    @property
    def erased_records(self) -> Path:
        return self.lake / "erased_records"

    @property
    def rejected(self) -> Path:
        return self.root / "rejected"

    @property
    def processed(self) -> Path:
        return self.root / "processed"

    @property
    def lock(self) -> Path:
        return self.root / "ingest.lock"

    def key_file(self, environment: Mapping[str, str] | None = None) -> Path:
        """The key file: ATTUNE_KEY_FILE where set, else `key.json` in the home."""
        given = (os.environ if environment is None else environment).get("ATTUNE_KEY_FILE")
        return Path(given) if given else self.root / "key.json"

    def make_folders(self) -> None:
        """Make what is missing; folders that hold raw text are closed to other users."""
        for folder in (
            self.inbox,
            self.log_records,
            self.spans,
            self.batches,
            self.rejections,
            self.pseudonym_links,
            self.erased_records,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.rejected, self.processed):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


@contextmanager
def one_ingest_at_a_time(home: Home, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the home's lock; the kernel frees it when the process ends, however it ends.

    Args:
        home: whose lock.
        wait_seconds: how long to wait for another process.

    Raises:
        IngestLockedError: another process holds it; the message names it and since when it does.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _is_locked(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()
                raise IngestLockedError(
                    f"{home.lock} is held by process {holder or 'unknown'}, which is loading this "
                    f"home; waited {wait_seconds:g} s; let it end, then run ingest again"
                )
            time.sleep(LOCK_POLL_SECONDS)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        # A full disk leaves the holder without a name, and what follows says that it is full.
        with suppress(OSError):
            os.pwrite(descriptor, f"{os.getpid()} since {since}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is either whole or absent, with its mode from the first byte on."""
    with writing_atomically(path, mode) as file:
        file.write(data)


@contextmanager
def writing_atomically(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Open a file that appears when all of it has been written, with its mode from the start."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
