"""Deleting raw text: what ingest keeps of its input still names people, so it may not stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.replay import finish_pending


def delete_raw(
    home: Path,
    older_than_days: int,
    *,
    now: datetime | None = None,
    wait_seconds: float = 0.0,
) -> list[Path]:
    """Delete processed inbox files and refused lines that have been kept long enough.

    Args:
        home: ATTUNE_HOME.
        older_than_days: days since the load from which on a file is deleted; 0 deletes all.
        now: the present, with zone; the clock's if absent.
        wait_seconds: how long to wait for another process that loads this home.

    Returns:
        The files deleted.

    Raises:
        IngestLockedError: another process loads this home.
        ValueError: the number of days is negative.
    """
    if older_than_days < 0:
        raise ValueError("the number of days to keep raw text cannot be negative")
    paths = Home(home)
    limit = (now or datetime.now(UTC)) - timedelta(days=older_than_days)
    deleted = []
    with one_ingest_at_a_time(paths, wait_seconds):
        paths.make_folders()
        finish_pending(paths)
        for path in (*paths.processed.iterdir(), *paths.rejected.iterdir()):
            if path.is_file() and path.stat().st_mtime <= limit.timestamp():
                path.unlink()
                deleted.append(path)
    return sorted(deleted)
