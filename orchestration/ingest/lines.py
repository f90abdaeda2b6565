"""Inbox files as blocks of numbered lines, whatever they are packed with, in bounded memory.

Memory is bounded by what is read at once and by what it becomes when parsed: a block ends at so many
bytes, lines or JSON objects, and a single line that has too many of them is skipped and reported.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, cast

import numpy as np
import zstandard

from orchestration.ingest.errors import RefusedFileError

CHUNK_BYTES = 1 << 18
BLOCK_BYTES = 32 << 20
BLOCK_LINES = 1 << 16
# One byte of Zstandard can stand for 32 KiB, and its decoder hands out all that its input holds.
ZSTD_INPUT_BYTES = 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r"


class TruncatedFileError(Exception):
    """A packed file ends before its end mark."""


class UnreadableFileError(Exception):
    """A packed file is damaged."""


class Readable(Protocol):
    """What blocks are read from."""

    name: str
    size: int
    bytes_read: int

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""


@dataclass(frozen=True)
class Limits:
    """What no honest file exceeds.

    Attributes:
        line_bytes: the longest line. OTLP receivers take requests of 20 MiB by default.
        line_objects: JSON objects and arrays in a line, and in a block of lines: 32 MiB of usual
            telemetry hold 800,000.
        unpacked_bytes: a packed file may always become as large as this.
        unpacked_ratio: and so many times larger than it is. Telemetry packs 10 to 50 times.
    """

    line_bytes: int = 32 << 20
    line_objects: int = 1_000_000
    unpacked_bytes: int = 256 << 20
    unpacked_ratio: int = 200


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank; `is_unended`: it is the last one and no line feed follows."""

    number: int
    raw: bytes
    is_unended: bool = False


@dataclass(frozen=True)
class Block:
    """Lines that are parsed at once.

    Attributes:
        lines: those that are not blank.
        too_long: the numbers of lines beyond the limits; their content was skipped.
        bytes_done: how much of the file has been read, packed as it is.
    """

    lines: list[Line]
    too_long: list[int]
    bytes_done: int


def read_blocks(
    file: Readable, block_bytes: int = BLOCK_BYTES, limits: Limits = LIMITS
) -> Iterator[Block]:
    """Read a file block by block.

    Args:
        file: its name says whether it is packed with gzip or Zstandard.
        block_bytes: a block ends with the line that reaches this size.
        limits: what no honest file exceeds.

    Raises:
        TruncatedFileError: a packed file has no end mark.
        UnreadableFileError: a packed file is damaged.
        RefusedFileError: a packed file becomes too large.
    """
    chunk_bytes = min(CHUNK_BYTES, block_bytes, limits.line_bytes)
    pending = _Pending(block_bytes, limits)
    for chunk in _unpacked(file, chunk_bytes, limits):
        pending.add(chunk)
        if pending.is_full:
            yield pending.take(file.bytes_read)
    pending.end()
    if pending.has_any:
        yield pending.take(file.bytes_read)


@dataclass
class _Pending:
    """What was read and not yet given out: whole lines, then the start of the next one."""

    block_bytes: int
    limits: Limits
    number: int = 1
    whole: list[bytes] = field(default_factory=list)
    size: int = 0
    objects: int = 0
    lines: int = 0
    tail: list[bytes] = field(default_factory=list)
    tail_size: int = 0
    tail_objects: int = 0
    too_long: list[int] = field(default_factory=list)
    is_skipping: bool = False
    is_unended: bool = False

    @property
    def has_any(self) -> bool:
        return bool(self.whole or self.too_long)

    @property
    def is_full(self) -> bool:
        return self.lines > 0 and (
            self.size + self.tail_size >= self.block_bytes
            or self.objects + self.tail_objects >= self.limits.line_objects
            or self.lines >= BLOCK_LINES
        )

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        end = chunk.rfind(b"\n") + 1
        if end:
            start = 0
            if self.is_skipping:
                # The line feed stays, so that a blank line holds the place of the one skipped.
                start = chunk.index(b"\n")
                self._skip()
            self._end_tail(chunk[start:end])
        rest = chunk[end:]
        if rest and not self.is_skipping:
            self.tail.append(rest)
            self.tail_size += len(rest)
            self.tail_objects += _objects(rest)
            self.is_skipping = (
                self.tail_size > self.limits.line_bytes
                or self.tail_objects > self.limits.line_objects
            )
            if self.is_skipping:
                self.tail, self.tail_size, self.tail_objects = [], 0, 0

    def end(self) -> None:
        """Take the end of the file for the end of the last line."""
        if self.is_skipping:
            self._skip()
        elif self.tail:
            self.is_unended = True
            self._end_tail(b"")

    def take(self, bytes_done: int) -> Block:
        """Give out the whole lines."""
        data = b"".join(self.whole)
        if self.number == 1:
            data = data.removeprefix(BYTE_ORDER_MARK)
        raw_lines = data.split(b"\n")
        if not self.is_unended:
            raw_lines.pop()
        lines = []
        for number, raw in enumerate(raw_lines, self.number):
            if raw[:1] == b"{" or raw.strip(BLANK):
                if self._is_too_long(raw):
                    self.too_long.append(number)
                else:
                    lines.append(Line(number, raw))
        last = self.number + len(raw_lines) - 1
        if self.is_unended and lines and lines[-1].number == last:
            lines[-1] = Line(last, lines[-1].raw, is_unended=True)
        block = Block(lines, sorted(self.too_long), bytes_done)
        self.number += len(raw_lines)
        self.whole, self.too_long = [], []
        self.size = self.objects = self.lines = 0
        return block

    def _skip(self) -> None:
        self.too_long.append(self.number + self.lines)
        self.is_skipping = False

    def _end_tail(self, data: bytes) -> None:
        self.whole += [*self.tail, data]
        self.size += self.tail_size + len(data)
        self.objects += self.tail_objects + _objects(data)
        self.lines += data.count(b"\n")
        self.tail, self.tail_size, self.tail_objects = [], 0, 0

    def _is_too_long(self, raw: bytes) -> bool:
        limit = self.limits.line_objects
        return len(raw) > self.limits.line_bytes or (len(raw) > limit and _objects(raw) > limit)


def _objects(data: bytes) -> int:
    codes = np.frombuffer(data, dtype=np.uint8)
    return int(np.count_nonzero(codes == ord("{")) + np.count_nonzero(codes == ord("[")))


def _unpacked(file: Readable, size: int, limits: Limits) -> Iterator[bytes]:
    if file.name.endswith(".gz"):
        return _bounded(_gunzipped(file, size), file.size, limits)
    if file.name.endswith(".zst"):
        return _bounded(_decompressed(file, size), file.size, limits)
    return iter(lambda: file.read(size), b"")


def _bounded(chunks: Iterator[bytes], packed_bytes: int, limits: Limits) -> Iterator[bytes]:
    allowed = max(limits.unpacked_bytes, limits.unpacked_ratio * packed_bytes)
    unpacked_bytes = 0
    for chunk in chunks:
        unpacked_bytes += len(chunk)
        if unpacked_bytes > allowed:
            raise RefusedFileError(
                "unpacks_too_large",
                f"{packed_bytes:,} bytes unpack to more than {allowed:,}",
            )
        yield chunk


def _gunzipped(file: Readable, size: int) -> Iterator[bytes]:
    if file.size == 0:
        raise TruncatedFileError
    try:
        with gzip.GzipFile(fileobj=cast("BinaryIO", file), mode="rb") as unpacked:
            while chunk := unpacked.read(size):
                yield chunk
    except EOFError as error:
        raise TruncatedFileError from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError from error


def _decompressed(file: Readable, size: int) -> Iterator[bytes]:
    """Frame by frame: the library's own stream reader takes a cut frame for a whole one."""
    decompressor = zstandard.ZstdDecompressor()
    frame = None
    data = file.read(ZSTD_INPUT_BYTES)
    if not data:
        raise TruncatedFileError
    try:
        while data:
            if frame is None:
                frame = decompressor.decompressobj()
            unpacked = frame.decompress(data)
            for start in range(0, len(unpacked), size):
                yield unpacked[start : start + size]
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = None
            data = data or file.read(ZSTD_INPUT_BYTES)
    except zstandard.ZstdError as error:
        raise UnreadableFileError from error
    if frame is not None:
        raise TruncatedFileError
