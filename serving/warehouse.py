"""What the sync asks of the warehouse: hot marts as keys, hashes and values, compared in SQL."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from serving.errors import HotMartError
from serving.hot_marts import quoted
from serving.store import Digest, checksum_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

    from serving.hot_marts import HotMart

BLOCK_ROWS = 10_000
# of row hashes so many are compared at a time, at most: memory does not grow with the mart
NUMBERS_AT_ONCE = 4_000_000

LEDGER_SCHEMA = pa.schema([("key", pa.string()), ("content_hash", pa.string())])
# XOR of 128-bit hashes: the same as serving.store.digest_of
DIGEST_COLUMNS = "count(*), coalesce(bit_xor(md5_number(key || chr(31) || content_hash)), 0)"


@contextmanager
def snapshot(warehouse: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    """Yield a connection of our own, whose reads within a transaction are all of one state."""
    with closing(warehouse.cursor()) as connection:
        yield connection


@contextmanager
def transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """Read one state, and leave nothing behind if it fails."""
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


class MartRows:
    """Values of a mart as `serving.store.Rows`: read in blocks, never the mart at once."""

    def __init__(self, connection: DuckDBPyConnection, query: str) -> None:
        """Take a query that gives key, content_hash and payload as text."""
        self._connection = connection
        self._query = query

    def blocks(self, *, in_key_order: bool = False) -> Iterator[list[tuple[str, str, bytes]]]:
        # the bytes leave the warehouse as they will be served: no decoding on this side
        yield from stream(
            self._connection,
            f"select rows.key, rows.content_hash, encode(rows.payload) from ({self._query}) as rows"
            + (" order by rows.key" if in_key_order else ""),
        )

    def encoded(self, expression: str, block_rows: int) -> Iterator[tuple[int, memoryview]]:
        # Arrow keeps the texts of a batch one behind the other: they are sent as they lie there
        reader = self._connection.execute(
            f"select encode({expression}) from ({self._query}) as rows"
        ).to_arrow_reader(block_rows)
        for batch in reader:
            _, offsets, texts = batch.column(0).buffers()
            rows = batch.num_rows
            if rows:
                ends = memoryview(offsets).cast("i")[batch.column(0).offset :]
                yield rows, memoryview(texts)[ends[0] : ends[rows]]


def hot_query(mart: HotMart, erased: bool) -> str:
    """SQL for a mart's key, content_hash, payload and row_hash; erased: without `erased_keys`."""
    row_hash = "cast(null as bigint)" if mart.row_hash is None else quoted(mart.row_hash)
    query = (
        f"select {mart.key_sql} as key, content_hash, {quoted(mart.payload)} as payload, "
        f"{row_hash} as row_hash from {mart.relation_name}"
    )
    if erased:
        query = f"select * from ({query}) as mart where {not_erased('key')}"
    return query


def not_erased(key: str) -> str:
    """SQL for "this key was not erased", by the table `erased_keys`."""
    return f"sha256({key}) not in (select key_hash from erased_keys)"


def load_erased(connection: DuckDBPyConnection, erased: Iterable[str]) -> None:
    """Make the temporary table `erased_keys`."""
    hashes = pa.table({"key_hash": pa.array(sorted(erased), pa.string())})
    load_arrow(connection, hashes, "erased_keys")


def load_arrow(
    connection: DuckDBPyConnection, source: pa.Table | pa.RecordBatchReader, table: str
) -> None:
    """Make a temporary table of Arrow data."""
    connection.register("arrow_source", source)
    connection.execute(f"create or replace temp table {table} as select * from arrow_source")
    connection.unregister("arrow_source")


def load_stored(
    connection: DuckDBPyConnection,
    blocks: Iterable[list[Any]],
    schema: pa.Schema,
    table: str,
) -> None:
    """Make a temporary table of what a store yields, each key once."""
    load_arrow(connection, batches(blocks, schema), table)
    rows, different = row(connection, f"select count(*), count(distinct hash(key)) from {table}")
    if rows != different:
        connection.execute(
            f"create or replace temp table {table} as select distinct on (key) * from {table}"
        )


def batches(blocks: Iterable[list[Any]], schema: pa.Schema) -> pa.RecordBatchReader:
    """Turn blocks of tuples into an Arrow stream."""
    arrow = (
        pa.record_batch(list(zip(*block, strict=True)), schema=schema) for block in blocks if block
    )
    return pa.RecordBatchReader.from_batches(schema, arrow)


def check_columns(connection: DuckDBPyConnection, mart: HotMart) -> None:
    """Refuse a mart that is not there, or whose columns have other types or gaps.

    Raises:
        HotMartError: says which column, and what to do.
    """
    try:
        described = connection.execute(f"describe {mart.relation_name}").fetchall()
    except duckdb.Error as error:
        raise HotMartError(
            f"{mart.relation_name} is a hot mart of the manifest but cannot be read from this "
            f"warehouse: run `dbt build` with the same target first ({error})"
        ) from error
    types = {each[0]: each[1] for each in described}
    wrong = [
        f"{column} ({types.get(column, 'missing')})"
        for column in _columns(mart)
        if types.get(column) != ("BIGINT" if column == mart.row_hash else "VARCHAR")
    ]
    if wrong:
        raise HotMartError(
            f"{mart.relation_name}: a hot mart's key columns, payload and content_hash are text, a "
            f"row_hash is a bigint; correct {', '.join(wrong)} in the model or in its "
            "config.meta.serving"
        )
    # DuckDB knows these counts without reading the columns
    counts = ", ".join(f"count({quoted(column)})" for column in _columns(mart))
    rows, *filled = row(connection, f"select count(*), {counts} from {mart.relation_name}")
    if any(each != rows for each in filled):
        _refuse_rows(connection, mart)


def check_rows(connection: DuckDBPyConnection, mart: HotMart, *, erased: bool = False) -> Digest:
    """Refuse a mart that repeats a key; reads the whole mart.

    Returns:
        The digest of its rows; with `erased` of those alone whose key is not in `erased_keys`.

    Raises:
        HotMartError: rows repeat a key.
    """
    # numbers are counted faster than texts, and as many numbers as rows mean no text twice
    rows, folded, different = row(
        connection,
        f"select {DIGEST_COLUMNS}, count(distinct hash(key)) from ({hot_query(mart, erased)})",
    )
    if rows != different:
        _refuse_rows(connection, mart)
    return Digest(rows, checksum_text(folded))


def _columns(mart: HotMart) -> list[str]:
    row_hash = [] if mart.row_hash is None else [mart.row_hash]
    return [*mart.key_columns, mart.payload, "content_hash", *row_hash]


def _refuse_rows(connection: DuckDBPyConnection, mart: HotMart) -> None:
    missing = " or ".join(f"{quoted(column)} is null" for column in _columns(mart))
    incomplete, repeated = row(
        connection,
        f"select count(*) filter ({missing}), count({mart.key_sql}) - "
        f"count(distinct {mart.key_sql}) from {mart.relation_name}",
    )
    if incomplete or repeated:
        raise HotMartError(
            f"{mart.relation_name} cannot be served: {incomplete} rows lack a key, payload or "
            f"hash, {repeated} rows repeat a key; correct the model (its data tests should have "
            "caught this) and build again"
        )


def load_differing(connection: DuckDBPyConnection, one: str, other: str, rows: int) -> None:
    """Make the temporary table `differing`: row hashes that only one of two queries gives.

    To sort numbers and look at neighbours is cheaper than a join.

    Args:
        connection: Where the queries run.
        one: A query in brackets with a column row_hash, without nulls.
        other: Another one.
        rows: About how many rows they have.
    """
    connection.execute("create or replace temp table differing (row_hash bigint)")
    parts = 1 << (rows // NUMBERS_AT_ONCE).bit_length()
    for part in range(parts):
        sides = [
            connection.execute(
                f"select row_hash from {query} as side where row_hash & {parts - 1} = {part}"
            ).fetchnumpy()["row_hash"]
            for query in (one, other)
        ]
        numbers = np.sort(np.concatenate(sides))
        differs = np.ones(len(numbers) + 1, bool)
        differs[1:-1] = numbers[1:] != numbers[:-1]
        alone = numbers[differs[:-1] & differs[1:]]
        connection.register("numbers_alone", {"row_hash": alone})
        connection.execute("insert into differing select row_hash from numbers_alone")
        connection.unregister("numbers_alone")


def digest(connection: DuckDBPyConnection, relation: str) -> Digest:
    """Count and digest the key and content_hash of a table or a query in brackets."""
    rows, folded = row(connection, f"select {DIGEST_COLUMNS} from {relation}")
    return Digest(rows, checksum_text(folded))


def stream(connection: DuckDBPyConnection, query: str) -> Iterator[list[Any]]:
    """Run a query and yield its rows in blocks; one result of a connection is read at a time."""
    result = connection.execute(query)
    while block := result.fetchmany(BLOCK_ROWS):
        yield block


def row(connection: DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """Return the one row of an aggregate."""
    found = connection.execute(query).fetchone()
    if found is None:
        raise AssertionError(f"an aggregate gives one row: {query}")
    return found
