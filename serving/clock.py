"""Times as the stores keep them: microseconds since 1970, UTC, without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (naive UTC is the project's form)
_MICROSECOND = timedelta(microseconds=1)


def naive_utc(value: datetime) -> datetime:
    """Return a time as naive UTC; one without a zone is taken to be UTC already."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def utc_now() -> datetime:
    """Return the present as naive UTC."""
    return naive_utc(datetime.now(UTC))


def to_microseconds(value: datetime) -> int:
    """Return naive UTC as microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return microseconds since 1970 as naive UTC."""
    return _EPOCH + timedelta(microseconds=value)
