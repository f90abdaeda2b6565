"""Lines into the inbox: whatever waits goes into one file, and is answered when it is durable."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestration.lib.errors import SettingError
from orchestration.receiver.config import Limits
from orchestration.receiver.errors import RefusedError

GROUP_BYTES = 32 << 20
MEASURE_SECONDS = 1.0
FULL_SECONDS = 5
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A line that waits for its file, and whoever waits for the line."""

    line: bytes
    durable: asyncio.Future[None]


class InboxFiles:
    """Writes files of lines; blocking, for one thread."""

    def __init__(
        self, inbox: Path, staging: Path, limits: Limits, *, prefix: str = "receive"
    ) -> None:
        """Take the folders, the limits, and what the names of the files begin with."""
        self._prefix = prefix
        self._inbox = inbox
        self._staging = staging
        self._limits = limits
        self._inbox_bytes = 0
        self._measured_at = -MEASURE_SECONDS

    def write(self, lines: Iterable[bytes]) -> None:
        """Write a file that ingest sees whole or not at all, and that survives a power cut.

        Raises:
            RefusedError: 503, the inbox or the disk is full, or the file cannot be written.
        """
        content = b"".join(each + b"\n" for each in lines)
        self._require_space(len(content))
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        name = f"{self._prefix}-{stamp}-{secrets.token_hex(8)}.jsonl"
        temporary = self._staging / f"{name}.tmp"
        try:
            self._write_durably(temporary, self._inbox / name, content)
        except OSError as error:
            raise _unavailable(
                "the disk is full"
                if error.errno in FULL_DISK
                else f"the inbox cannot be written ({error.strerror})"
            ) from error
        self._inbox_bytes += len(content)

    def _write_durably(self, temporary: Path, final: Path, content: bytes) -> None:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
                os.fsync(file.fileno())
            temporary.rename(final)
        except OSError:
            # after a failed fsync nobody knows what the file holds: the client sends again
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self._inbox)

    def _require_space(self, more: int) -> None:
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self._inbox_bytes = folder_bytes(self._inbox)
            self._measured_at = time.monotonic()
        if self._inbox_bytes + more > self._limits.inbox_bytes:
            raise _unavailable(
                f"the inbox is full: {self._limits.inbox_bytes} bytes may wait there until "
                "`attune ingest` loads them"
            )
        try:
            free = shutil.disk_usage(self._inbox).free
        except OSError as error:
            raise _unavailable(f"the inbox cannot be read ({error.strerror})") from error
        if free - more < self._limits.free_bytes:
            raise _unavailable(
                f"the disk is almost full: {self._limits.free_bytes} bytes are to stay free"
            )


class InboxWriter:
    """Collects lines while a file is written, and writes them all as the next one.

    Under load many requests share a file and its fsync, without any waiting when there is none.
    """

    def __init__(self, files: InboxFiles, on_file: Callable[[int, int], None]) -> None:
        """Take the files, and what is called after each with its number of lines and bytes."""
        self._files = files
        self._on_file = on_file
        self._pending: list[Pending] = []
        self._arrived = asyncio.Event()
        self._is_closing = False
        self._trouble = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write_groups())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    @property
    def is_running(self) -> bool:
        """Whether lines are still written."""
        return self._task is not None and not self._task.done()

    async def append(self, line: bytes) -> None:
        """Return when the line is durable in the inbox.

        Raises:
            RefusedError: 503, it is not.
        """
        if not self.is_running:
            raise _unavailable("the receiver is ending")
        durable = asyncio.get_running_loop().create_future()
        self._pending.append(Pending(line, durable))
        self._arrived.set()
        await durable

    async def _write_groups(self) -> None:
        try:
            while self._pending or not self._is_closing:
                await self._arrived.wait()
                self._arrived.clear()
                while self._pending:
                    await self._write(self._take_group())
        finally:
            if not self._is_closing:
                log.critical("the inbox writer failed: nothing is kept until a restart")
            settle(self._pending, _unavailable("the receiver is ending"))

    async def _write(self, group: list[Pending]) -> None:
        lines = [each.line for each in group]
        outcome: RefusedError | None = _unavailable("the receiver is ending")
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._files.write, lines)
            outcome = None
            self._on_file(len(lines), sum(map(len, lines)))
        except RefusedError as error:
            outcome = error
        finally:
            self._say(outcome)
            settle(group, outcome)

    def _say(self, outcome: RefusedError | None) -> None:
        """Log trouble when it begins, changes and ends, not with every request."""
        trouble = "" if outcome is None else outcome.message
        if trouble != self._trouble:
            log.warning("%s", trouble or "the inbox takes files again")
        self._trouble = trouble

    def _take_group(self) -> list[Pending]:
        size = count = 0
        while count < len(self._pending) and size < GROUP_BYTES:
            size += len(self._pending[count].line)
            count += 1
        group, self._pending = self._pending[:count], self._pending[count:]
        return group


def settle(group: Iterable[Pending], outcome: RefusedError | None) -> None:
    """Tell everybody who still waits for a line what became of it."""
    for each in group:
        if each.durable.done():
            continue
        if outcome is None:
            each.durable.set_result(None)
        else:
            each.durable.set_exception(outcome)


@contextmanager
def prepared_folders(inbox: Path, staging: Path) -> Iterator[None]:
    """Make the folders, hold them against a second receiver, remove what a killed one left.

    Raises:
        SettingError: another receiver writes there, or the folders cannot be used.
    """
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        if inbox.stat().st_dev != staging.stat().st_dev:
            raise SettingError(
                f"{staging} is not on the file system of the inbox, so no file can be renamed there",
                where=str(inbox),
                next_step="keep both in one ATTUNE_HOME",
            )
        sync_folder(inbox.parent)
        descriptor = os.open(staging / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingError(
            f"the inbox cannot be written: {error.strerror}",
            where=error.filename or str(inbox),
            next_step="check the folder's owner and mode, or set ATTUNE_HOME",
        ) from error
    try:
        _lock(descriptor, staging)
        for leftover in staging.glob("*.tmp"):
            leftover.unlink()
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, staging: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise SettingError(
            f"process {holder} receives into this workspace already",
            where=str(staging),
            next_step="send to that one, or end it first",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def folder_bytes(folder: Path) -> int:
    """Bytes of the folder's files; files that vanish meanwhile count as nothing."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
    except OSError as error:
        raise _unavailable(f"the inbox cannot be read ({error.strerror})") from error
    return total


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=FULL_SECONDS)
