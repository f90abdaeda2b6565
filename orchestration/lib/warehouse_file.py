"""The warehouse's file: what was deleted from its tables stays in its free blocks until it is rewritten."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb

from orchestration.ingest.switch import sync_to_disk
from orchestration.lib.errors import WarehouseBusyError

if TYPE_CHECKING:
    from pathlib import Path


def rewrite(warehouse: Path) -> None:
    """Replace the file by a copy that holds its tables and views, and nothing that was deleted.

    Takes as much room again for a while. A crash leaves the old file; whoever has it open reads on.

    Args:
        warehouse: The file.

    Raises:
        WarehouseBusyError: another process holds it, or the copy failed (a full disk); it is as it was.
    """
    copy = warehouse.with_name(f"{warehouse.name}.copy")
    copy.unlink(missing_ok=True)
    try:
        with duckdb.connect() as connection:
            # views name their catalog, which DuckDB calls after the file
            source = f'"{warehouse.stem}"'
            connection.execute(f"attach {_text(warehouse)} as {source}")
            # nothing of the old file's log may meet the new file
            connection.execute(f"checkpoint {source}")
            connection.execute(f"attach {_text(copy)} as rewritten")
            connection.execute(f"copy from database {source} to rewritten")
            connection.execute("detach rewritten")
            sync_to_disk(copy)
            os.replace(copy, warehouse)
            sync_to_disk(warehouse.parent)
    except duckdb.Error as error:
        raise WarehouseBusyError(
            f"the warehouse could not be rewritten: {error}",
            where=str(warehouse),
            next_step="wait for other processes that have it open, make room, then run "
            "`attune erase` again: it goes on where it stopped",
        ) from error
    finally:
        copy.unlink(missing_ok=True)


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
