"""Bodies in bounded memory: how much is in flight, and gzip unpacked in small steps."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from orchestration.receiver.config import Limits
from orchestration.receiver.errors import RefusedError

STEP_BYTES = 1 << 16
GZIP_WINDOW = 31
BUSY_SECONDS = 1


class InFlight:
    """What is being read, decoded and written; beyond the limits, requests are turned away."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = 0
        self._bytes = 0

    @contextmanager
    def admit(self) -> Iterator[Ticket]:
        """A place for one request, given back with everything it took.

        Raises:
            RefusedError: 503, no place is free.
        """
        if self._requests >= self._limits.requests:
            raise _busy(f"{self._requests} requests are in flight")
        self._requests += 1
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            self._requests -= 1
            self._bytes -= ticket.taken

    def take(self, count: int) -> None:
        """Count bytes that are held in memory.

        Raises:
            RefusedError: 503, the limit is reached.
        """
        if self._bytes + count > self._limits.bytes_in_flight:
            raise _busy(f"{self._bytes} bytes are in flight")
        self._bytes += count


class Ticket:
    """One request's share of what is in flight; `taken` is in bytes."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.taken = 0

    def take(self, count: int) -> None:
        """Count bytes that the request holds.

        Raises:
            RefusedError: 503, the limit is reached.
        """
        self._in_flight.take(count)
        self.taken += count


async def read_body(
    chunks: AsyncIterator[bytes],
    ticket: Ticket,
    limits: Limits,
    *,
    declared_bytes: int | None,
    is_gzip: bool,
) -> bytes:
    """The body, unpacked.

    Args:
        chunks: The body as it arrives.
        ticket: Counts what is held.
        limits: Of its size and of the time it may take.
        declared_bytes: Content-Length, None if not given.
        is_gzip: Whether it is packed.

    Raises:
        RefusedError: 413 too large, 408 too slow, 400 not gzip, 503 too much in flight.
    """
    if declared_bytes is not None and declared_bytes > limits.sent_bytes:
        raise _too_large("as sent", limits.sent_bytes)
    gunzip = Gunzip() if is_gzip else None
    parts: list[bytes] = []
    sent = unpacked = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in chunks:
                sent += len(chunk)
                if sent > limits.sent_bytes:
                    raise _too_large("as sent", limits.sent_bytes)
                for part in (chunk,) if gunzip is None else gunzip.unpack(chunk):
                    unpacked += len(part)
                    if unpacked > limits.unpacked_bytes:
                        raise _too_large("unpacked", limits.unpacked_bytes)
                    ticket.take(len(part))
                    parts.append(part)
    except TimeoutError as error:
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not arrive within {limits.body_seconds:g} seconds",
        ) from error
    if gunzip is not None:
        gunzip.finish()
    return b"".join(parts)


class Gunzip:
    """Unpacks gzip of any number of members, at most `STEP_BYTES` at a time."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_WINDOW)

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """Parts of the content.

        Raises:
            RefusedError: 400, not gzip.
        """
        while packed:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP_WINDOW)
            try:
                part = self._member.decompress(packed, STEP_BYTES)
            except zlib.error as error:
                raise RefusedError(
                    HTTPStatus.BAD_REQUEST, "the body is not gzip, which Content-Encoding says"
                ) from error
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if part:
                yield part

    def finish(self) -> None:
        """Check that the last member has its end.

        Raises:
            RefusedError: 400, cut off.
        """
        if not self._member.eof:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the gzip body is cut off")


def _busy(what: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the receiver is busy, {what}; send again later",
        retry_after=BUSY_SECONDS,
    )


def _too_large(how: str, limit: int) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {limit} bytes {how}; send smaller batches "
        "(OTEL_BLRP_MAX_EXPORT_BATCH_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE)",
    )
