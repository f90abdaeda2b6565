"""A copy of the marts that anybody may read at any time.

The warehouse file has one writer, and while it writes nobody else can open it. BI tools therefore
read a copy that is replaced as a whole: a reader has the old file or the new one open, never half.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from serving.errors import PublishError
from serving.hot_marts import quoted, quoted_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# what BI drivers of the DuckDB 1.x line can read
STORAGE_VERSION = "v1.2.0"
# names that only an unfinished publish leaves behind
_UNFINISHED = ".unfinished-"
_PARQUET_VERSION = ".parquet-"
_TARGET = "published_copy"


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of the published file."""

    schema: str
    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published where."""

    path: Path
    parquet_path: Path
    tables: tuple[PublishedTable, ...]
    bytes: int


def publish(
    warehouse_path: Path, target_path: Path, schemas: Sequence[str] = ("marts", "serving")
) -> PublishReport:
    """Copy the tables and views of these schemas into one DuckDB file and Parquet beside it.

    Parquet files lie in `parquet/<schema>/<table>.parquet` beside the target; `parquet` is a
    symbolic link to the current version. Both are swapped when complete; one publish at a time,
    a second one waits. What a killed publish left is removed by the next.

    Args:
        warehouse_path: The warehouse file; nobody may be writing it.
        target_path: The DuckDB file to replace.
        schemas: Schemas to copy; views become tables.

    Raises:
        PublishError: no such warehouse, schema or table, or the copy failed.
    """
    if not warehouse_path.is_file():
        raise PublishError(f"there is no warehouse at {warehouse_path}: run `dbt build` first")
    folder = target_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "parquet"
    if link.exists() and not link.is_symlink():
        raise PublishError(
            f"{link} is not the symbolic link that a publish keeps there: move it away and "
            "publish again"
        )
    with _one_at_a_time(folder / ".publish.lock"):
        _remove_leftovers(folder, link)
        token = secrets.token_hex(8)
        copy = folder / f"{_UNFINISHED}{token}.duckdb"
        version = folder / f"{_PARQUET_VERSION}{token}"
        try:
            tables = _copy(warehouse_path, copy, version, schemas)
            for path in (copy, *version.rglob("*"), version):
                _sync_to_disk(path)
            size = copy.stat().st_size
            new_link = folder / f"{_UNFINISHED}{token}.link"
            new_link.symlink_to(version.name, target_is_directory=True)
            copy.replace(target_path)
            new_link.replace(link)
            _sync_to_disk(folder)
        except duckdb.Error as error:
            raise PublishError(
                f"could not copy {warehouse_path} to {folder}: {error}; what was published before "
                "is untouched. Wait for other writers of the warehouse to end and publish again"
            ) from error
        finally:
            _remove_leftovers(folder, link)
    return PublishReport(path=target_path, parquet_path=link, tables=tables, bytes=size)


def _copy(
    warehouse_path: Path, copy: Path, version: Path, schemas: Sequence[str]
) -> tuple[PublishedTable, ...]:
    # views name their catalog, which DuckDB calls after the file
    source = warehouse_path.stem
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"attach {quoted_text(str(warehouse_path))} as {quoted(source)} (read_only)"
        )
        connection.execute(
            f"attach {quoted_text(str(copy))} as {_TARGET} (storage_version '{STORAGE_VERSION}')"
        )
        tables = []
        for schema in schemas:
            names = _relations(connection, source, schema)
            if not names:
                raise PublishError(
                    f"schema {schema!r} of {warehouse_path} holds nothing to publish: build it "
                    "first, or name other schemas"
                )
            connection.execute(f"create schema if not exists {_TARGET}.{quoted(schema)}")
            (version / schema).mkdir(parents=True)
            for name in names:
                relation = f"{_TARGET}.{quoted(schema)}.{quoted(name)}"
                connection.execute(
                    f"create table {relation} as "
                    f"select * from {quoted(source)}.{quoted(schema)}.{quoted(name)}"
                )
                parquet = version / schema / f"{name}.parquet"
                copied = connection.execute(
                    f"copy {relation} to {quoted_text(str(parquet))} (format parquet, compression zstd)"
                ).fetchone()
                tables.append(PublishedTable(schema, name, copied[0] if copied else 0))
        connection.execute(f"checkpoint {_TARGET}")
        connection.execute(f"detach {_TARGET}")
    return tuple(tables)


def _relations(connection: duckdb.DuckDBPyConnection, source: str, schema: str) -> list[str]:
    rows = connection.execute(
        "select table_name from information_schema.tables "
        "where table_catalog = ? and table_schema = ? order by table_name",
        [source, schema],
    ).fetchall()
    return [name for (name,) in rows]


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(folder: Path, link: Path) -> None:
    """Remove everything unfinished and every Parquet version that is not the current one."""
    current = link.readlink().name if link.is_symlink() else None
    for path in folder.iterdir():
        if path.name.startswith(_UNFINISHED):
            path.unlink()
        elif path.name.startswith(_PARQUET_VERSION) and path.name != current:
            shutil.rmtree(path)


def _sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
