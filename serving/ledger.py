"""What was synced, beside the store: keys and hashes of each view, as of a generation.

The ledger is a DuckDB file, so that the warehouse joins it where it lies. It is written last; a
sync that dies before that leaves a ledger of an older generation than the store's, which the next
one notices: it then reads the store itself.

The ledger also notes who was erased, by hash, so that a store that lost its list is given it back.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from serving.errors import StoreError
from serving.hot_marts import quoted, quoted_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from duckdb import DuckDBPyConnection

SCHEMA = "sync_ledger"
# another form of the file gets another name: what an older one noted is then not known
NOTES = f"{SCHEMA}.synced_views"


class Noted(NamedTuple):
    """What a view's table was written at: generation, erased keys, and schema version."""

    generation: int
    erasures: int
    schema_version: str


def ledger_path(folder: Path, url: str) -> Path:
    """Return the ledger of the store that a URL names: one file per store."""
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.duckdb"


@contextmanager
def attached(connection: DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Attach the ledger file as the database `sync_ledger`; it is made if missing.

    Raises:
        StoreError: another sync of this store holds it, or it cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection.execute(f"attach {quoted_text(str(path))} as {SCHEMA} (read_write)")
        connection.execute(
            f"create table if not exists {NOTES} (view varchar, generation bigint, "
            "erasures bigint, schema_version varchar)"
        )
        connection.execute(f"create table if not exists {SCHEMA}.erased (key_hash varchar)")
        connection.execute(
            f"create table if not exists {SCHEMA}.store (controls_id varchar, lost_at timestamp)"
        )
    except (duckdb.IOException, OSError) as error:
        raise StoreError(
            f"the sync's ledger {path} cannot be used: {error}; if another sync runs, wait for it "
            "to end; if the file is damaged, delete it: the next sync reads the cache instead, and "
            "asks that the build holds what users said"
        ) from error
    try:
        yield
    finally:
        connection.execute(f"detach {SCHEMA}")


def table(view: str) -> str:
    """Return the table of a view's keys and hashes, quoted."""
    return f"{SCHEMA}.{quoted(f'view_{view}')}"


def make(connection: DuckDBPyConnection, view: str) -> None:
    """Make a view's table anew, empty; hashes hardly compress, and would be read slower."""
    connection.execute(
        f"create or replace table {table(view)} (key varchar using compression uncompressed, "
        "content_hash varchar using compression uncompressed, row_hash bigint)"
    )


def synced_as(connection: DuckDBPyConnection, view: str) -> Noted | None:
    """Return what the ledger of a view was written at."""
    row = connection.execute(
        f"select generation, erasures, schema_version from {NOTES} where view = ?", [view]
    ).fetchone()
    return None if row is None else Noted(*row)


def note(connection: DuckDBPyConnection, view: str, noted: Noted) -> None:
    """Say at which state of store and model the view's table stands."""
    connection.execute(f"delete from {NOTES} where view = ?", [view])
    connection.execute(f"insert into {NOTES} values (?, ?, ?, ?)", [view, *noted])


def erased(connection: DuckDBPyConnection) -> frozenset[str]:
    """Return the hashes of the erased keys that the store was last seen with."""
    rows = connection.execute(f"select key_hash from {SCHEMA}.erased").fetchall()
    return frozenset(key_hash for (key_hash,) in rows)


def controls_lost_at(
    connection: DuckDBPyConnection, controls_id: str, now: datetime
) -> datetime | None:
    """Say when it was first noticed that the store may have lost what it remembered of users.

    Args:
        connection: With the ledger attached.
        controls_id: What the store calls its memory now.
        now: The present, naive UTC; noted if the loss is noticed now.

    Returns:
        None: it remembers what it did at the last sync. Where none is noted, the ledger may be lost
        with the store's memory.
    """
    row: tuple[str | None, datetime | None] | None = connection.execute(
        f"select controls_id, lost_at from {SCHEMA}.store"
    ).fetchone()
    if row is None:
        connection.execute(f"insert into {SCHEMA}.store values (null, ?)", [now])
        return now
    if row[0] == controls_id:
        return None
    if row[1] is None:
        connection.execute(f"update {SCHEMA}.store set lost_at = ?", [now])
    return row[1] or now


def note_memory(connection: DuckDBPyConnection, controls_id: str) -> None:
    """Note what the store remembers of users: its name, and the keys of the table `erased_keys`."""
    connection.execute(f"delete from {SCHEMA}.store")
    connection.execute(f"insert into {SCHEMA}.store values (?, null)", [controls_id])
    connection.execute(
        f"insert into {SCHEMA}.erased select key_hash from erased_keys "
        f"where key_hash not in (select key_hash from {SCHEMA}.erased)"
    )
