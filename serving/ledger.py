"""What was synced, beside the store: keys and hashes of each view, as of a generation.

The ledger is a DuckDB file, so that the warehouse joins it where it lies. It is written last; a
sync that dies before that leaves a ledger of an older generation than the store's, which the next
one notices: it then reads the store itself.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from serving.errors import StoreError
from serving.hot_marts import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

SCHEMA = "sync_ledger"


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
        connection.execute(f"attach {_literal(str(path))} as {SCHEMA} (read_write)")
        connection.execute(
            f"create table if not exists {SCHEMA}.synced "
            "(view varchar, generation bigint, erasures bigint)"
        )
    except (duckdb.IOException, OSError) as error:
        raise StoreError(
            f"the sync's ledger {path} cannot be used: {error}; if another sync runs, wait for it "
            "to end; if the file is damaged, delete it: the next sync reads the cache instead"
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
        "content_hash varchar using compression uncompressed)"
    )


def synced_as(connection: DuckDBPyConnection, view: str) -> tuple[int, int] | None:
    """Return the generation and number of erasures that the ledger of a view was written at."""
    row: tuple[int, int] | None = connection.execute(
        f"select generation, erasures from {SCHEMA}.synced where view = ?", [view]
    ).fetchone()
    return row


def note(connection: DuckDBPyConnection, view: str, generation: int, erasures: int) -> None:
    """Say at which generation of the store the view's table stands."""
    connection.execute(f"delete from {SCHEMA}.synced where view = ?", [view])
    connection.execute(
        f"insert into {SCHEMA}.synced values (?, ?, ?)", [view, generation, erasures]
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
