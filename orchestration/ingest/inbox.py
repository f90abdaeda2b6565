"""The inbox: files that anybody may have put there, opened once, read once, moved away at last.

Everything about a file is asked of one open descriptor, so that no other file can take its place
between a check and what relies on it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration.ingest.detect import redacted
from orchestration.ingest.errors import RefusedFileError
from orchestration.ingest.home import PRIVATE_FILE

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
HASH_BYTES = 1 << 20
LONGEST_NAME_BYTES = 200

NEXT_STEPS = {
    "cannot_be_moved": "its records are in the lake; let this user write to the inbox",
    "cannot_be_read": "let this user read the file",
    "changed_while_read": (
        "write under another name (a leading dot, say) and rename into the inbox when complete"
    ),
    "is_a_link": "put the file itself into the inbox",
    "not_a_regular_file": "put files into the inbox, no folders, pipes or devices",
    "outside_inbox": "name a file of the inbox, without any folder",
    "unpacks_too_large": "unpack it and look; if it is telemetry, put it into the inbox unpacked",
    "vanished": "put it back if it is still wanted",
}


@dataclass(frozen=True)
class RefusedFile:
    """An inbox file that was left where it is.

    Attributes:
        file_name: its name in the inbox, as text that can be printed.
        reason: a key of `NEXT_STEPS`.
        detail: what was found.
        next_step: what to do about it.
    """

    file_name: str
    reason: str
    detail: str
    next_step: str


class InboxFile:
    """One file of the inbox, held by its descriptor.

    Attributes:
        name: its name in the inbox.
        size: its bytes when it was opened.
        batch_id: SHA-256 of its content, in hex.
        bytes_read: how far `read` has come.
    """

    def __init__(self, folder: int, name: str, descriptor: int) -> None:
        self.name = name
        self._folder, self._descriptor = folder, descriptor
        self._before = os.fstat(descriptor)
        self.size = self._before.st_size
        self.bytes_read = 0
        self._digest = hashlib.sha256()
        self._drain()
        self.batch_id = self._digest.hexdigest()
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.bytes_read = 0
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none of them beyond the size that the file had when it was opened."""
        left = self.size - self.bytes_read
        try:
            data = os.read(self._descriptor, left if size < 0 else min(size, left))
        except OSError as error:
            raise RefusedFileError("cannot_be_read", os.strerror(error.errno or 0)) from error
        self.bytes_read += len(data)
        self._digest.update(data)
        return data

    def check_unchanged(self) -> None:
        """Make sure that what was read is what has been hashed, and what the inbox still holds.

        Raises:
            RefusedFileError: it changed, was replaced, or is gone.
        """
        self._drain()
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (
            self.size,
            self._before.st_mtime_ns,
        ) or self._digest.hexdigest() != self.batch_id:
            raise RefusedFileError("changed_while_read", "its content changed while it was read")
        try:
            named = os.stat(self.name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError as error:
            raise RefusedFileError("vanished", "it was deleted while it was read") from error
        if not os.path.samestat(named, now):
            raise RefusedFileError("changed_while_read", "another file took its name")

    def move_to(self, folder: Path) -> None:
        """Move the file away, private to its owner; its time is the present.

        Raises:
            RefusedFileError: it cannot be moved.
        """
        target = _free_name(folder, self.name, self.batch_id)
        try:
            try:
                # The days until raw text is deleted count from now, not from when it was written.
                os.utime(self._descriptor)
                os.fchmod(self._descriptor, PRIVATE_FILE)
                os.replace(self.name, target, src_dir_fd=self._folder)
            except PermissionError:
                self._copy(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(target)
            else:
                self._give_back_another(target)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RefusedFileError("cannot_be_moved", os.strerror(error.errno or 0)) from error

    def _drain(self) -> None:
        while self.read(HASH_BYTES):
            pass

    def _copy(self, target: Path) -> None:
        """Move what belongs to another user or lies on another file system."""
        temporary = target.with_name(f".{self.batch_id}.tmp")
        temporary.unlink(missing_ok=True)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        written = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with os.fdopen(written, "wb") as copy:
            with os.fdopen(os.dup(self._descriptor), "rb") as original:
                shutil.copyfileobj(original, copy, HASH_BYTES)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(temporary, target)
        named = os.stat(self.name, dir_fd=self._folder, follow_symlinks=False)
        if os.path.samestat(named, os.fstat(self._descriptor)):
            os.unlink(self.name, dir_fd=self._folder)

    def _give_back_another(self, moved: Path) -> None:
        """Put back a file that was renamed into place in the last moment: nobody has read it."""
        if os.path.samestat(moved.lstat(), os.fstat(self._descriptor)):
            return
        name = self.name
        while True:
            try:
                os.link(moved, name, dst_dir_fd=self._folder, follow_symlinks=False)
            except FileExistsError:
                name = f"again-{name}"
            else:
                moved.unlink()
                return


@contextmanager
def open_inbox(path: Path) -> Iterator[int]:
    """A descriptor of the inbox itself; files are opened relative to it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def waiting(folder: int) -> list[str]:
    """The names that ingest looks at, in order; a leading dot means not yet complete."""
    return sorted(
        name for name in os.listdir(folder) if name.endswith(SUFFIXES) and not name.startswith(".")
    )


@contextmanager
def open_file(folder: int, name: str) -> Iterator[InboxFile]:
    """Open one file of the inbox and hash it.

    Args:
        folder: the inbox's descriptor.
        name: a name in it.

    Raises:
        RefusedFileError: it is no file of the inbox, or cannot be read.
    """
    check_name(name)
    try:
        _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False))
        # Not blocking: a pipe that takes the file's place now must not stop the load.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError as error:
        raise RefusedFileError("vanished", "it was deleted before it could be read") from error
    except OSError as error:
        reason = "is_a_link" if error.errno == errno.ELOOP else "cannot_be_read"
        raise RefusedFileError(reason, os.strerror(error.errno or 0)) from error
    try:
        _check_kind(os.fstat(descriptor))
        yield InboxFile(folder, name, descriptor)
    finally:
        os.close(descriptor)


def check_name(name: str) -> None:
    """Make sure that a name stands for a file of the inbox itself.

    Raises:
        RefusedFileError: it leads elsewhere, or is no name of an inbox file.
    """
    if Path(name).name != name or not name.endswith(SUFFIXES):
        raise RefusedFileError("outside_inbox", "the name leads out of the inbox")


def refused(name: str, error: RefusedFileError) -> RefusedFile:
    """The refusal of a file, as it is reported."""
    return RefusedFile(printable(name), error.reason, str(error), NEXT_STEPS[error.reason])


def printable(name: str) -> str:
    """A file's name as text for tables and terminals: what cannot be shown becomes U+FFFD.

    What looks private, such as an e-mail address, becomes a marker.
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return redacted(shown)


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise RefusedFileError("is_a_link", "it is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError("not_a_regular_file", "it is a folder, pipe, socket or device")


def _free_name(folder: Path, name: str, batch_id: str) -> Path:
    target = folder / name
    number = 1
    while os.path.lexists(target):
        kept = os.fsdecode(os.fsencode(name)[-LONGEST_NAME_BYTES:])
        target = folder / f"{batch_id[:12]}-{number}-{kept}"
        number += 1
    return target
