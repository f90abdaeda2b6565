"""Raw text of what was refused, one private file per batch, kept so that it can be replayed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from orchestration.ingest.errors import IngestError
from orchestration.ingest.home import PRIVATE_FILE, Home, writing_atomically
from orchestration.ingest.rows import Rejection


class RejectedWriter:
    """Writes a batch's refused lines and records; nothing is left of it if none came."""

    def __init__(self, home: Home, batch_id: str) -> None:
        self.path = home.rejected / f"{batch_id}.jsonl"
        self.temporary = self.path.with_name(self.path.name + ".tmp")
        self._file: BinaryIO | None = None

    def add(self, rejection: Rejection, raw: bytes | None) -> None:
        """Keep one refused line or record.

        Args:
            rejection: what was refused and why.
            raw: the line, or an export request with the record alone; None for what stays in
                `processed/` only: a whole file, a line too long to be read at once, a record too
                many of its line.
        """
        if self._file is None:
            descriptor = os.open(
                self.temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE
            )
            self._file = os.fdopen(descriptor, "wb")
        entry = {
            "line_number": rejection.line,
            "record_number": rejection.record,
            "reason": rejection.reason,
            "detail": rejection.detail,
            **_as_text(raw),
        }
        self._file.write(_line(entry))

    def finish(self) -> None:
        """Put the file into place."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self.temporary, self.path)
            self._file = None

    def discard(self) -> None:
        """Take back what was kept so far."""
        self.close()
        self.temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of a file that was not finished."""
        if self._file is not None:
            # What is still in memory may not fit on the disk, and is not wanted any more.
            with suppress(OSError):
                self._file.close()
            self._file = None


@dataclass(frozen=True)
class RejectedEntry:
    """A kept line: its place in the file of its batch, and its raw bytes if there are any."""

    batch_id: str
    index: int
    content: dict[str, Any]

    @property
    def raw(self) -> bytes | None:
        """The refused line or record as it came."""
        raw = self.content.get("raw")
        if raw is not None:
            return str(raw).encode("utf-8", "replace")
        if "raw_base64" in self.content:
            return base64.b64decode(self.content["raw_base64"])
        return None

    @property
    def is_replayed(self) -> bool:
        """Whether it was loaded later."""
        return "replayed_as" in self.content


def read_rejected(home: Home) -> Iterator[RejectedEntry]:
    """All kept lines, by batch and order.

    Raises:
        IngestError: a file was edited and is no longer JSON lines.
    """
    for path in sorted(home.rejected.glob("*.jsonl")):
        with path.open("rb") as file:
            for index, line in enumerate(file):
                yield RejectedEntry(path.stem, index, _content(line, f"{path}, line {index + 1}"))


def mark_replayed(home: Home, batch_id: str, indices: set[int], file_name: str) -> None:
    """Write beside kept lines in which inbox file they came again."""
    path = home.rejected / f"{batch_id}.jsonl"
    with path.open("rb") as file, writing_atomically(path, PRIVATE_FILE) as marked:
        for index, line in enumerate(file):
            if index in indices:
                marked.write(_line({**json.loads(line), "replayed_as": file_name}))
            else:
                marked.write(line)


def _content(line: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise IngestError(f"{where} is not JSON: correct it, or delete the line") from error
    if not isinstance(content, dict):
        raise IngestError(f"{where} is no JSON object: correct it, or delete the line")
    return content


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _as_text(raw: bytes | None) -> dict[str, str | None]:
    if raw is None:
        return {"raw": None}
    try:
        return {"raw": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode("ascii")}
