"""Times as OTLP writes them: nanoseconds since 1970, as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.flat import Array, Integers
from orchestration.ingest.schema import TIMESTAMP

FITS_64_BITS = r"^(?:[0-9]{1,18}|[1-8][0-9]{18})$"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST_AFTER_LOAD = timedelta(days=1)
NANOS_PER_MICRO = 1_000
NANOS_PER_MILLI = 1_000_000
MICROS_PER_DAY = 86_400_000_000

# Whole numbers that no 64-bit integer holds: they are out of any range.
TOO_EARLY = np.iinfo(np.int64).min
TOO_LATE = np.iinfo(np.int64).max


def without_zero(texts: Array) -> Array:
    """Times where 0 means what absence means."""
    return pc.if_else(pc.match_substring_regex(texts, "^0+$"), "", texts)


def nanoseconds(texts: Array) -> tuple[Integers, np.typing.NDArray[np.bool_]]:
    """The times (0 where absent) and where the text is not a whole number."""
    fits = pc.match_substring_regex(texts, FITS_64_BITS)
    values = pc.fill_null(pc.cast(pc.if_else(fits, texts, None), pa.int64()), 0)
    numbers: Integers = values.to_numpy(zero_copy_only=False).copy()
    is_invalid = np.zeros(len(numbers), dtype=bool)
    odd = pc.and_(pc.invert(fits), pc.not_equal(texts, ""))
    for row in np.flatnonzero(odd.to_numpy(zero_copy_only=False)).tolist():
        text = texts[row].as_py()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            is_invalid[row] = True
        else:
            numbers[row] = TOO_EARLY if text.startswith("-") else TOO_LATE
    return numbers, is_invalid


def out_of_range(numbers: Integers, loaded_at: datetime) -> np.typing.NDArray[np.bool_]:
    """Where a time is before 2000 or more than a day after the load."""
    earliest = _nanos(EARLIEST)
    latest = _nanos(loaded_at + LATEST_AFTER_LOAD)
    outside: np.typing.NDArray[np.bool_] = (numbers < earliest) | (numbers > latest)
    return outside


def timestamps(numbers: Integers, *, zero_is_null: bool = False) -> Array:
    """Times as UTC timestamps in microseconds."""
    mask = numbers == 0 if zero_is_null else None
    return pa.array(numbers // NANOS_PER_MICRO, TIMESTAMP, mask=mask)


def naive_utc(moment: datetime) -> datetime:
    """The moment as the lake writes it: UTC without zone.

    Raises:
        ValueError: the moment has no zone, so nobody knows when it is.
    """
    if moment.tzinfo is None:
        raise ValueError("the time of a load needs a time zone, for example datetime.now(UTC)")
    return moment.astimezone(UTC).replace(tzinfo=None)


def _nanos(moment: datetime) -> int:
    return (
        (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * NANOS_PER_MICRO
    )
