"""What was synced, beside the store: keys and hashes of each view, as of a generation.

The ledger is a DuckDB file, so that the warehouse joins it where it lies. It is written last; a
sync that dies before that leaves a ledger of an older generation than the store's, which the next
one notices: it then reads the store itself.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from serving.errors import StoreError
from serving.hot_marts import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        connection.execute(f"attach {_literal(str(path))} as {SCHEMA} (read_write)")
        connection.execute(
            f"create table if not exists {NOTES} (view varchar, generation bigint, "
            "erasures bigint, schema_version varchar)"
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


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
