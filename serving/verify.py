"""Compare all that is served with the warehouse, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

from serving.hot_marts import HotMart, hot_marts
from serving.sync import retired_views
from serving.warehouse import (
    LEDGER_SCHEMA,
    check_columns,
    check_rows,
    digest,
    hot_query,
    load_erased,
    load_stored,
    row,
    snapshot,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from serving.store import Store, ViewMeta

LISTED_DIFFERENCES = 1_000

_SCAN_SCHEMA = pa.schema(
    [("key", pa.string()), ("content_hash", pa.string()), ("payload", pa.binary())]
)

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
    """Result of comparing everything; at most the first 1,000 differences of a view are listed.

    waiting counts user controls that no build holds yet: they are served over what is stored, and
    are no difference.
    """

    views: tuple[str, ...]
    rows: int
    difference_count: int
    differences: tuple[Difference, ...]
    waiting: int

    @property
    def ok(self) -> bool:
        """True when nothing differs."""
        return self.difference_count == 0


def verify(
    warehouse: DuckDBPyConnection, store: Store, manifest: Mapping[str, Any] | Path
) -> VerifyReport:
    """Compare every key and every payload byte of all hot marts with the store.

    Keys that were erased are expected to be absent, whatever the warehouse still holds.

    Raises:
        HotMartError: a malformed declaration or mart.
        StoreError: the store cannot be read.
    """
    marts = hot_marts(manifest)
    rows = 0
    count = 0
    differences: list[Difference] = []
    with snapshot(warehouse) as connection, transaction(connection):
        load_erased(connection, store.erasures())
        for mart in marts:
            check_columns(connection, mart)
            check_rows(connection, mart)
            load_stored(connection, store.scan(mart.view), _SCAN_SCHEMA, "verify_stored")
            found, listed = _row_differences(connection, mart)
            meta_differences = _meta_differences(connection, store.meta(mart.view), mart)
            rows += digest(connection, f"({hot_query(mart, erased=True)})").rows
            count += found + len(meta_differences)
            differences += meta_differences + listed
        retired = retired_views(store, marts)
        for view in retired:
            load_stored(connection, store.ledger(view), LEDGER_SCHEMA, "verify_stored")
            (unexpected,) = row(connection, "select count(*) from verify_stored")
            count += unexpected
            keys = connection.execute(
                f"select key from verify_stored order by key limit {LISTED_DIFFERENCES}"
            ).fetchall()
            differences += [
                Difference(view, key, "unexpected", "the view's hot mart has left the manifest")
                for (key,) in keys
            ]
    return VerifyReport(
        views=tuple([mart.view for mart in marts] + retired),
        rows=rows,
        difference_count=count,
        differences=tuple(differences),
        waiting=sum(len(block) for block in store.controls()),
    )


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
        from ({hot_query(mart, erased=True)}) as hot
        full join verify_stored as stored on hot.key = stored.key
        where kind is not null
        """
    )
    (count,) = row(connection, "select count(*) from verify_differences")
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
    actual = digest(connection, "verify_stored")
    if meta.digest == actual:
        return []
    detail = (
        f"{meta.rows} rows with checksum {meta.checksum} noted, "
        f"{actual.rows} with {actual.checksum} stored"
    )
    return [Difference(mart.view, "", "meta", detail)]
