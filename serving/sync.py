"""Bring the serving store to the state of the warehouse's hot marts, moving only what changed.

The warehouse does the comparing: the store's ledger of (key, content_hash) is read into it as an
Arrow stream and anti-joined both ways against each hot mart. Change is judged by content, never
by event time: a rebuild that gives the same values moves nothing.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import duckdb
import pyarrow as pa

from serving.clock import naive_utc, utc_now
from serving.errors import HotMartError, RemovalRefusedError, VerificationError
from serving.hot_marts import HotMart, hot_marts, quoted
from serving.store import ChangeSet, Digest, Upsert, checksum_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from serving.store import Store, ViewMeta

BLOCK_ROWS = 10_000
LISTED_DIFFERENCES = 1_000

_LEDGER_SCHEMA = pa.schema([("key", pa.string()), ("content_hash", pa.string())])
_SCAN_SCHEMA = pa.schema(
    [("key", pa.string()), ("content_hash", pa.string()), ("payload", pa.binary())]
)
# XOR of 128-bit hashes: the same as serving.store.digest_of
_DIGEST_COLUMNS = "count(*), coalesce(bit_xor(md5_number(key || chr(31) || content_hash)), 0)"


@dataclass(frozen=True, slots=True)
class ViewSync:
    """What a sync did to one view; rows are counted after it."""

    view: str
    added: int
    changed: int
    removed: int
    unchanged: int
    rows: int
    generation: int
    checksum: str
    seconds: float

    @property
    def moved(self) -> int:
        """Values written plus keys removed."""
        return self.added + self.changed + self.removed


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did; as_of is naive UTC."""

    run_id: str
    as_of: datetime
    views: tuple[ViewSync, ...]

    @property
    def moved(self) -> int:
        """Values written plus keys removed, over all views."""
        return sum(view.moved for view in self.views)


DifferenceKind = Literal["missing", "unexpected", "payload", "content_hash", "mart_hash", "meta"]


class Difference(NamedTuple):
    """One disagreement between warehouse and store.

    Kinds: missing (only the warehouse has the key), unexpected (only the store has it), payload
    or content_hash (both have it, the bytes or hashes differ), mart_hash (the mart's content_hash
    is not the MD5 of its payload, so a sync could miss a change), meta (the view's meta does not
    describe its rows; key is empty).
    """

    view: str
    key: str
    kind: DifferenceKind
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of comparing everything; at most the first 1,000 differences of a view are listed."""

    views: tuple[str, ...]
    rows: int
    difference_count: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """True when nothing differs."""
        return self.difference_count == 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """One view's changes, computed and counted but not applied."""

    view: str
    mart: HotMart | None
    meta: ViewMeta | None
    hot_table: str
    ledger_table: str
    hot: Digest
    ledger: Digest
    added: int
    changed: int
    removed: int

    @property
    def base_generation(self) -> int:
        return 0 if self.meta is None else self.meta.generation

    @property
    def is_settled(self) -> bool:
        """Nothing to move, and the meta says what is there."""
        return (
            self.meta is not None
            and (self.meta.rows, self.meta.checksum) == self.hot
            and self.added + self.changed + self.removed == 0
        )

    @property
    def removed_share(self) -> float:
        return self.removed / self.ledger.rows if self.ledger.rows else 0.0


def sync(
    warehouse: DuckDBPyConnection,
    store: Store,
    manifest: Mapping[str, Any] | Path,
    *,
    as_of: datetime,
    run_id: str,
    max_removed_share: float = 0.5,
    allow_removal: bool = False,
) -> SyncReport:
    """Sync every hot mart of the manifest.

    All views are compared, and refused if need be, before the first is written; then each view
    changes in one transaction of its own. A view whose hot mart has left the manifest is emptied,
    under the same limit on removals.

    Args:
        warehouse: Connection to the built warehouse; only read from.
        store: Where to write.
        manifest: dbt's manifest, or the path of its file.
        as_of: What the build was made as of; without a zone it is UTC.
        run_id: Names this run in the meta.
        max_removed_share: Largest share of a view's keys, 0 to 1, that may be removed.
        allow_removal: Remove whatever the warehouse no longer has.

    Raises:
        HotMartError: a malformed declaration or mart.
        RemovalRefusedError: more would be removed than allowed; nothing was moved.
        StaleChangeSetError: another sync came between; run again.
        VerificationError: the store does not hold what the warehouse has.
        StoreError: the store could not write.
    """
    if not 0 <= max_removed_share <= 1:
        raise ValueError(f"max_removed_share is a share from 0 to 1, not {max_removed_share}")
    marts = hot_marts(manifest)
    as_of = naive_utc(as_of)
    with _snapshot(warehouse) as connection:
        plans = [
            _plan(connection, store, mart.view, mart, number) for number, mart in enumerate(marts)
        ]
        plans += [
            _plan(connection, store, view, None, len(marts) + number)
            for number, view in enumerate(_retired(store, marts))
        ]
        if not allow_removal:
            _refuse_removals(plans, max_removed_share)
        views = [_apply(connection, store, plan, as_of=as_of, run_id=run_id) for plan in plans]
    return SyncReport(run_id=run_id, as_of=as_of, views=tuple(views))


def verify(
    warehouse: DuckDBPyConnection, store: Store, manifest: Mapping[str, Any] | Path
) -> VerifyReport:
    """Compare every key and every payload byte of all hot marts with the store.

    Raises:
        HotMartError: a malformed declaration or mart.
        StoreError: the store cannot be read.
    """
    marts = hot_marts(manifest)
    rows = 0
    count = 0
    differences: list[Difference] = []
    with _snapshot(warehouse) as connection:
        for mart in marts:
            _load_hot(connection, mart, "verify_hot")
            _load_stored(connection, store, mart.view)
            found, listed = _row_differences(connection, mart)
            meta_differences = _meta_differences(connection, store.meta(mart.view), mart)
            rows += _digest(connection, "verify_hot").rows
            count += found + len(meta_differences)
            differences += meta_differences + listed
    retired = _retired(store, marts)
    for view in retired:
        unexpected = store.digest(view).rows
        count += unexpected
        keys = (key for block in store.ledger(view) for key, _ in block)
        differences += [
            Difference(view, key, "unexpected", "the view's hot mart has left the manifest")
            for key, _ in zip(keys, range(LISTED_DIFFERENCES), strict=False)
        ]
    return VerifyReport(
        views=tuple([mart.view for mart in marts] + retired),
        rows=rows,
        difference_count=count,
        differences=tuple(differences),
    )


def _retired(store: Store, marts: Sequence[HotMart]) -> list[str]:
    """Views that still hold rows although no hot mart of the manifest feeds them."""
    served = {mart.view for mart in marts}
    return [
        view
        for view in store.views()
        if view not in served and (meta := store.meta(view)) is not None and meta.rows
    ]


@contextmanager
def _snapshot(warehouse: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    """Yield a connection of our own whose reads are all of one state and leave nothing behind."""
    with closing(warehouse.cursor()) as connection:
        connection.execute("begin transaction")
        try:
            yield connection
        finally:
            connection.execute("rollback")


def _plan(
    connection: DuckDBPyConnection, store: Store, view: str, mart: HotMart | None, number: int
) -> _Plan:
    hot_table, ledger_table = f"sync_hot_{number}", f"sync_ledger_{number}"
    # the meta first: a sync that commits after this is caught by the generation
    meta = store.meta(view)
    _load_ledger(connection, store, view, ledger_table)
    if mart is None:
        connection.execute(f"create temp table {hot_table} (key varchar, content_hash varchar)")
    else:
        _load_hot(connection, mart, hot_table)
    added, changed = _row(
        connection,
        f"""
        select
            count(*) filter (where ledger.key is null),
            count(*) filter (where ledger.content_hash <> hot.content_hash)
        from {hot_table} as hot
        left join {ledger_table} as ledger on hot.key = ledger.key
        """,
    )
    (removed,) = _row(
        connection,
        f"""
        select count(*)
        from {ledger_table} as ledger
        anti join {hot_table} as hot on ledger.key = hot.key
        """,
    )
    return _Plan(
        view=view,
        mart=mart,
        meta=meta,
        hot_table=hot_table,
        ledger_table=ledger_table,
        hot=_digest(connection, hot_table),
        ledger=_digest(connection, ledger_table),
        added=added,
        changed=changed,
        removed=removed,
    )


def _refuse_removals(plans: Sequence[_Plan], max_removed_share: float) -> None:
    refused = [
        f"- {plan.view}: {plan.removed} of {plan.ledger.rows} keys ({plan.removed_share:.1%})"
        for plan in plans
        if plan.removed_share > max_removed_share
    ]
    if refused:
        raise RemovalRefusedError(
            f"the sync would remove more than {max_removed_share:.1%} of a view's keys; nothing "
            "was moved. Look whether the build lost its input; to insist, run it with "
            "allow_removal=True (or a higher max_removed_share):\n" + "\n".join(refused)
        )


def _apply(
    connection: DuckDBPyConnection, store: Store, plan: _Plan, *, as_of: datetime, run_id: str
) -> ViewSync:
    started = time.perf_counter()
    if plan.mart is not None:
        schema_version, max_age_hours = plan.mart.schema_version, plan.mart.max_age_hours
    elif plan.meta is not None:
        schema_version, max_age_hours = plan.meta.schema_version, plan.meta.max_age_hours
    else:
        raise AssertionError(f"{plan.view} has neither a hot mart nor a meta")
    store.apply(
        ChangeSet(
            view=plan.view,
            base_generation=plan.base_generation,
            expected=plan.hot,
            removals=_removals(connection, plan),
            upserts=_upserts(connection, plan),
            is_settled=plan.is_settled,
            schema_version=schema_version,
            as_of=as_of,
            run_id=run_id,
            synced_at=utc_now(),
            max_age_hours=max_age_hours,
        )
    )
    meta = store.meta(plan.view)
    if meta is None or (meta.run_id == run_id and (meta.rows, meta.checksum) != plan.hot):
        raise VerificationError(
            f"{store.url}: after the sync {plan.view} is described as {meta}, the warehouse has "
            f"{plan.hot.rows} rows with checksum {plan.hot.checksum}; run `attune verify` to see "
            "where they differ"
        )
    return ViewSync(
        view=plan.view,
        added=plan.added,
        changed=plan.changed,
        removed=plan.removed,
        unchanged=plan.hot.rows - plan.added - plan.changed,
        rows=meta.rows,
        generation=meta.generation,
        checksum=meta.checksum,
        seconds=time.perf_counter() - started,
    )


def _removals(connection: DuckDBPyConnection, plan: _Plan) -> Iterator[list[str]]:
    if plan.removed:
        query = f"""
            select ledger.key
            from {plan.ledger_table} as ledger
            anti join {plan.hot_table} as hot on ledger.key = hot.key
        """
        for block in _stream(connection, query):
            yield [key for (key,) in block]


def _upserts(connection: DuckDBPyConnection, plan: _Plan) -> Iterator[list[Upsert]]:
    if plan.mart is not None and plan.added + plan.changed:
        # the bytes leave the warehouse as they will be served: no decoding on this side
        query = f"""
            select hot.key, hot.content_hash, encode(hot.payload)
            from ({_hot_query(plan.mart)}) as hot
            anti join {plan.ledger_table} as ledger
                on hot.key = ledger.key and hot.content_hash = ledger.content_hash
        """
        for block in _stream(connection, query):
            yield [Upsert(*row) for row in block]


def _stream(connection: DuckDBPyConnection, query: str) -> Iterator[list[tuple[Any, ...]]]:
    result = connection.execute(query)
    while block := result.fetchmany(BLOCK_ROWS):
        yield block


def _hot_query(mart: HotMart) -> str:
    return (
        f"select {mart.key_sql} as key, content_hash, {quoted(mart.payload)} as payload "
        f"from {mart.relation_name}"
    )


def _load_hot(connection: DuckDBPyConnection, mart: HotMart, table: str) -> None:
    """Load a mart's keys and hashes, and refuse one that cannot be served."""
    _check_columns(connection, mart)
    missing = " or ".join(
        f"{quoted(column)} is null" for column in (*mart.key_columns, mart.payload, "content_hash")
    )
    (incomplete,) = _row(connection, f"select count(*) from {mart.relation_name} where {missing}")
    connection.execute(
        f"create or replace temp table {table} as "
        f"select hot.key, hot.content_hash from ({_hot_query(mart)}) as hot"
    )
    (repeated,) = _row(connection, f"select count(*) - count(distinct key) from {table}")
    if incomplete or repeated:
        raise HotMartError(
            f"{mart.relation_name} cannot be served: {incomplete} rows lack a key, payload or "
            f"content_hash, {repeated} rows repeat a key; correct the model (its data tests "
            "should have caught this) and build again"
        )


def _check_columns(connection: DuckDBPyConnection, mart: HotMart) -> None:
    try:
        described = connection.execute(f"describe {mart.relation_name}").fetchall()
    except duckdb.Error as error:
        raise HotMartError(
            f"{mart.relation_name} is a hot mart of the manifest but cannot be read from this "
            f"warehouse: run `dbt build` with the same target first ({error})"
        ) from error
    types = {row[0]: row[1] for row in described}
    wrong = [
        f"{column} ({types.get(column, 'missing')})"
        for column in (*mart.key_columns, mart.payload, "content_hash")
        if types.get(column) != "VARCHAR"
    ]
    if wrong:
        raise HotMartError(
            f"{mart.relation_name}: a hot mart's key columns, payload and content_hash are text; "
            f"correct {', '.join(wrong)} in the model or in its config.meta.serving"
        )


def _load_ledger(connection: DuckDBPyConnection, store: Store, view: str, table: str) -> None:
    batches = (
        pa.record_batch(list(zip(*block, strict=True)), schema=_LEDGER_SCHEMA)
        for block in store.ledger(view)
    )
    _load_arrow(connection, _LEDGER_SCHEMA, batches, table)


def _load_stored(connection: DuckDBPyConnection, store: Store, view: str) -> None:
    batches = (
        pa.record_batch(list(zip(*block, strict=True)), schema=_SCAN_SCHEMA)
        for block in store.scan(view)
    )
    _load_arrow(connection, _SCAN_SCHEMA, batches, "verify_stored")


def _load_arrow(
    connection: DuckDBPyConnection, schema: pa.Schema, batches: Iterator[pa.RecordBatch], table: str
) -> None:
    connection.register("arrow_stream", pa.RecordBatchReader.from_batches(schema, batches))
    connection.execute(f"create or replace temp table {table} as select * from arrow_stream")
    connection.unregister("arrow_stream")


def _digest(connection: DuckDBPyConnection, table: str) -> Digest:
    rows, folded = _row(connection, f"select {_DIGEST_COLUMNS} from {table}")
    return Digest(rows, checksum_text(folded))


def _row_differences(connection: DuckDBPyConnection, mart: HotMart) -> tuple[int, list[Difference]]:
    connection.execute(
        f"""
        create or replace temp table verify_differences as
        select
            coalesce(hot.key, stored.key) as key,
            case
                when stored.key is null then 'missing'
                when hot.key is null then 'unexpected'
                when hot.content_hash <> md5(hot.payload) then 'mart_hash'
                when stored.content_hash <> hot.content_hash then 'content_hash'
                when stored.payload <> encode(hot.payload) then 'payload'
            end as kind,
            hot.content_hash as hot_hash,
            stored.content_hash as stored_hash
        from ({_hot_query(mart)}) as hot
        full join verify_stored as stored on hot.key = stored.key
        where kind is not null
        """
    )
    (count,) = _row(connection, "select count(*) from verify_differences")
    listed = connection.execute(
        "select key, kind, hot_hash, stored_hash from verify_differences "
        f"order by key limit {LISTED_DIFFERENCES}"
    ).fetchall()
    return count, [
        Difference(
            mart.view,
            key,
            kind,
            f"content_hash {hot_hash} in the warehouse, {stored_hash} in the store",
        )
        for key, kind, hot_hash, stored_hash in listed
    ]


def _meta_differences(
    connection: DuckDBPyConnection, meta: ViewMeta | None, mart: HotMart
) -> list[Difference]:
    if meta is None:
        return [Difference(mart.view, "", "meta", "the view was never synced")]
    actual = _digest(connection, "verify_stored")
    if (meta.rows, meta.checksum) == actual:
        return []
    detail = (
        f"{meta.rows} rows with checksum {meta.checksum} noted, "
        f"{actual.rows} with {actual.checksum} stored"
    )
    return [Difference(mart.view, "", "meta", detail)]


def _row(connection: DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise AssertionError(f"an aggregate gives one row: {query}")
    return row
