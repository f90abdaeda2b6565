"""Inbox files as blocks of numbered lines, whatever they are packed with, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 32 << 20
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r"


class TruncatedFileError(Exception):
    """A packed file ends before its end mark."""


class UnreadableFileError(Exception):
    """A packed file is damaged."""


@dataclass(frozen=True)
class Line:
    """A line that is not blank; `is_unended`: it is the last one and no line feed follows."""

    number: int
    raw: bytes
    is_unended: bool = False


def is_inbox_file(path: Path) -> bool:
    """Whether ingest takes the file; writers rename into place, so a leading dot means not yet."""
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex: the batch id."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[list[Line], int]]:
    """Blocks of lines that are not blank, and how many bytes of the file were read so far.

    Args:
        path: a `.jsonl` file, plain or packed with gzip or Zstandard.
        block_bytes: a block ends with the line that reaches this size.

    Raises:
        TruncatedFileError: a packed file has no end mark.
        UnreadableFileError: a packed file is damaged.
    """
    number = 1
    pending: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for chunk in _unpacked(file, path.name, min(CHUNK_BYTES, block_bytes)):
            pending.append(chunk)
            size += len(chunk)
            if size >= block_bytes and b"\n" in chunk:
                whole, _, rest = b"".join(pending).rpartition(b"\n")
                lines, number = _lines(whole, number)
                pending, size = [rest], len(rest)
                yield lines, file.tell()
        last = b"".join(pending)
        if last:
            is_unended = not last.endswith(b"\n")
            lines, number = _lines(last if is_unended else last[:-1], number)
            if is_unended and lines and lines[-1].number == number - 1:
                lines[-1] = Line(lines[-1].number, lines[-1].raw, is_unended=True)
            yield lines, file.tell()


def _lines(block: bytes, first: int) -> tuple[list[Line], int]:
    if first == 1:
        block = block.removeprefix(BYTE_ORDER_MARK)
    raw_lines = block.split(b"\n")
    lines = [
        Line(number, raw)
        for number, raw in enumerate(raw_lines, first)
        if raw[:1] == b"{" or raw.strip(BLANK)
    ]
    return lines, first + len(raw_lines)


def _unpacked(file: BinaryIO, name: str, size: int) -> Iterator[bytes]:
    if name.endswith(".gz"):
        return _gunzipped(file, size)
    if name.endswith(".zst"):
        return _decompressed(file, size)
    return iter(lambda: file.read(size), b"")


def _gunzipped(file: BinaryIO, size: int) -> Iterator[bytes]:
    if file.seek(0, io.SEEK_END) == 0:
        raise TruncatedFileError
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            while chunk := unpacked.read(size):
                yield chunk
    except EOFError as error:
        raise TruncatedFileError from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError from error


def _decompressed(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Frame by frame: the library's own stream reader takes a cut frame for a whole one."""
    frame = None
    data = file.read(size)
    if not data:
        raise TruncatedFileError
    try:
        while data:
            if frame is None:
                frame = zstandard.ZstdDecompressor().decompressobj()
            if unpacked := frame.decompress(data):
                yield unpacked
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = None
            data = data or file.read(size)
    except zstandard.ZstdError as error:
        raise UnreadableFileError from error
    if frame is not None:
        raise TruncatedFileError
