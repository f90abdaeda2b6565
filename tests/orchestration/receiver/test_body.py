"""Bodies take bounded memory, whatever they claim."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.receiver.body import Gunzip, InFlight, read_body
from orchestration.receiver.config import Limits
from orchestration.receiver.errors import RefusedError

MIB = 1 << 20


async def arriving(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for each in chunks:
        yield each


def read(
    chunks: list[bytes],
    limits: Limits,
    *,
    is_gzip: bool = False,
    declared_bytes: int | None = None,
    in_flight: InFlight | None = None,
) -> bytes:
    async def run() -> bytes:
        with (in_flight or InFlight(limits)).admit() as ticket:
            return await read_body(
                arriving(chunks), ticket, limits, declared_bytes=declared_bytes, is_gzip=is_gzip
            )

    return asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=300_000), min_size=1, max_size=3), st.integers(1, 70_000))
def test_gzip_of_any_members_in_any_chunks_is_unpacked(members: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(each, mtime=0) for each in members)
    gunzip = Gunzip()
    parts = [
        part
        for start in range(0, len(packed), size)
        for part in gunzip.unpack(packed[start : start + size])
    ]
    gunzip.finish()
    assert b"".join(parts) == b"".join(members)


@pytest.mark.parametrize("cut", [0, 1, 12, -1])
def test_gzip_that_is_cut_off_is_malformed(cut: int) -> None:
    packed = gzip.compress(b"some content" * 100, mtime=0)[:cut]
    with pytest.raises(RefusedError, match="cut off") as refused:
        read([packed], Limits(), is_gzip=True)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "packed",
    [b"plain text", zlib.compress(b"deflate"), gzip.compress(b"whole", mtime=0) + b"and more"],
)
def test_what_is_not_gzip_is_malformed(packed: bytes) -> None:
    with pytest.raises(RefusedError, match="not gzip") as refused:
        read([packed], Limits(), is_gzip=True)
    assert refused.value.status == 400


def test_a_gzip_bomb_is_refused_before_it_unpacks() -> None:
    bomb = gzip.compress(bytes(256 * MIB), compresslevel=6)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match="unpacked") as refused:
            read([bomb], Limits(unpacked_bytes=2 * MIB), is_gzip=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 6 * MIB


def test_a_body_beyond_the_limit_is_too_large() -> None:
    limits = Limits(sent_bytes=10)
    assert read([b"12345", b"67890"], limits, declared_bytes=10) == b"1234567890"
    with pytest.raises(RefusedError, match="as sent") as refused:
        read([b"12345", b"678901"], limits)
    assert (refused.value.status, refused.value.retry_after) == (413, None)


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with pytest.raises(RefusedError, match="as sent") as refused:
        read([b"1"], Limits(sent_bytes=10), declared_bytes=11)
    assert refused.value.status == 413


def test_a_body_that_does_not_arrive_times_out() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def run() -> None:
        limits = Limits(body_seconds=0.01)
        with InFlight(limits).admit() as ticket:
            await read_body(never(), ticket, limits, declared_bytes=None, is_gzip=False)

    with pytest.raises(RefusedError, match="did not arrive") as refused:
        asyncio.run(run())
    assert refused.value.status == 408


def test_bytes_in_flight_are_bounded_and_given_back() -> None:
    limits = Limits(bytes_in_flight=10)
    in_flight = InFlight(limits)
    with in_flight.admit() as other:
        other.take(6)
        with pytest.raises(RefusedError, match="busy") as refused:
            read([b"123", b"45"], limits, in_flight=in_flight)
        assert (refused.value.status, refused.value.retry_after) == (503, 1)
        assert read([b"1234"], limits, in_flight=in_flight) == b"1234"
    assert read([b"1234567890"], limits, in_flight=in_flight) == b"1234567890"


def test_requests_in_flight_are_bounded_and_given_back() -> None:
    in_flight = InFlight(Limits(requests=2))
    with in_flight.admit(), in_flight.admit():
        with pytest.raises(RefusedError, match="busy") as refused, in_flight.admit():
            pass
        assert refused.value.status == 503
    with in_flight.admit(), in_flight.admit():
        pass
