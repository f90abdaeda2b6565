"""Raw text of what was refused, one private file per batch, kept so that it can be replayed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from orchestration.ingest.home import PRIVATE_FILE, Home, write_atomically
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
            raw: the line, or an export request with the record alone; None for a whole file, which
                stays in `processed/`.
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

    def close(self) -> None:
        """Let go of the file, finished or not."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class RejectedEntry:
    """A kept line: its place in the file of its batch, and its raw bytes if there are any."""

    batch_id: str
    index: int
    content: dict[str, Any]

    @property
    def raw(self) -> bytes | None:
        """The refused line or record as it came."""
        if "raw_base64" in self.content:
            return base64.b64decode(self.content["raw_base64"])
        raw = self.content.get("raw")
        return None if raw is None else str(raw).encode()

    @property
    def is_replayed(self) -> bool:
        """Whether it was loaded later."""
        return "replayed_as" in self.content


def read_rejected(home: Home) -> Iterator[RejectedEntry]:
    """All kept lines, by batch and order."""
    for path in sorted(home.rejected.glob("*.jsonl")):
        with path.open("rb") as file:
            for index, line in enumerate(file):
                yield RejectedEntry(path.stem, index, json.loads(line))


def mark_replayed(home: Home, batch_id: str, indices: set[int], file_name: str) -> None:
    """Write beside kept lines in which inbox file they came again."""
    path = home.rejected / f"{batch_id}.jsonl"
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    for index in indices:
        entries[index]["replayed_as"] = file_name
    write_atomically(path, b"".join(_line(entry) for entry in entries), PRIVATE_FILE)


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _as_text(raw: bytes | None) -> dict[str, str | None]:
    if raw is None:
        return {"raw": None}
    try:
        return {"raw": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode("ascii")}
