"""Bring the serving store to the state of the warehouse's hot marts, moving only what changed.

The warehouse does the comparing: a ledger of (key, content_hash) of what was synced is joined both
ways with each hot mart, or only those rows whose row hash the other side lacks where the mart has
row hashes. Change is judged by content, never by event time: a rebuild that gives the same values
moves nothing. The order is cache, meta, ledger: whatever a crash leaves, the next sync repeats what
may be repeated.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import md5
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from serving import ledger as ledgers
from serving.clock import naive_utc, utc_now
from serving.errors import (
    LostControlsError,
    RemovalRefusedError,
    StaleChangeSetError,
    VerificationError,
)
from serving.hot_marts import HotMart, hot_marts
from serving.store import NOTHING, ChangeSet, Digest, checksum_text, erased_hash
from serving.warehouse import (
    LEDGER_SCHEMA,
    MartRows,
    check_columns,
    check_rows,
    digest,
    hot_query,
    load_differing,
    load_erased,
    load_stored,
    not_erased,
    row,
    snapshot,
    stream,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from serving.store import Store, ViewMeta

# another sync, an erasure or a loss may come between; each attempt compares anew
ATTEMPTS = 3
SAMPLED_KEYS = 50
# what a mart gives that is gone
NO_ROWS = (
    "select '' as key, '' as content_hash, '' as payload, cast(0 as bigint) as row_hash where false"
)


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
    """What a sync did; as_of is naive UTC.

    settled counts user controls that the marts now agree with, waiting those that no build holds
    yet: they stay in force over what was synced.
    """

    run_id: str
    as_of: datetime
    views: tuple[ViewSync, ...]
    settled: int
    waiting: int

    @property
    def moved(self) -> int:
        """Values written plus keys removed, over all views."""
        return sum(view.moved for view in self.views)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One view's changes, computed and counted but not applied."""

    view: str
    mart: HotMart | None
    meta: ViewMeta | None
    changes: str
    base: Digest
    hot: Digest
    erasures: int
    is_by_ledger: bool
    added: int
    changed: int
    removed: int

    @property
    def declared(self) -> HotMart | ViewMeta:
        """What says how the view is made and how old it may be."""
        declared = self.mart or self.meta
        if declared is None:
            raise AssertionError(f"{self.view} has neither a hot mart nor a meta")
        return declared

    @property
    def is_refill(self) -> bool:
        return self.meta is None

    @property
    def is_settled(self) -> bool:
        """Nothing to move, and the meta says what is there."""
        return (
            self.meta is not None
            and self.meta.digest == self.hot
            and self.added + self.changed + self.removed == 0
        )

    @property
    def removed_share(self) -> float:
        return self.removed / self.base.rows if self.base.rows else 0.0


class _Compared(NamedTuple):
    """What a comparison found.

    is_in_doubt says that the mart has other rows than those found and those unchanged, or repeats
    a key.
    """

    added: int
    changed: int
    removed: int
    hot: Digest
    is_in_doubt: bool


def sync(
    warehouse: DuckDBPyConnection,
    store: Store,
    manifest: Mapping[str, Any] | Path,
    *,
    as_of: datetime,
    run_id: str,
    ledger: Path | None = None,
    recheck: bool = False,
    only_hot_path: bool = False,
    max_removed_share: float = 0.5,
    allow_removal: bool = False,
    attempts: int = ATTEMPTS,
    has_heard: Callable[[datetime], bool] = lambda _: False,
) -> SyncReport:
    """Sync every hot mart of the manifest.

    All views are compared, and refused if need be, before the first is written; then each view
    changes as a whole. A view whose hot mart has left the manifest is emptied, under the same
    limit on removals. A sync that another one or an erasure overtakes, or whose store is emptied
    meanwhile, compares again. What an erasure has left in the store's files is cleaned at the end.

    Args:
        warehouse: Connection to the built warehouse; only read from.
        store: Where to write.
        manifest: dbt's manifest, or the path of its file.
        as_of: What the build was made as of; without a zone it is UTC.
        run_id: Names this run in the meta.
        ledger: File that remembers what was synced into this store (`ledger_path`), made if
            missing. None: the store itself is read, as it is where the file is outdated.
        recheck: Read the store even where the ledger is up to date, and repair what differs.
        only_hot_path: Sync the marts of the hot path alone, and leave every other view.
        max_removed_share: Largest share of a view's keys, 0 to 1, that may be removed.
        allow_removal: Remove whatever the warehouse no longer has.
        attempts: How often to compare when others come between, at least 1.
        has_heard: Whether the build holds all that users said before a moment, naive UTC. Asked
            where the store may have lost what it remembered, and before a first sync: controls and
            erasures that only it knew are then in the build, or the sync is refused.

    Raises:
        HotMartError: a malformed declaration or mart.
        LostControlsError: the store may have lost what users said, and the build does not hold it
            yet; nothing was moved.
        RemovalRefusedError: more would be removed than allowed; nothing was moved.
        StaleChangeSetError: others came between, time and again; run again.
        VerificationError: the store does not hold what the warehouse has.
        IncompleteErasureError: everything was synced, but the store's files hold erased bytes yet.
        StoreError: the store could not write.
    """
    if not 0 <= max_removed_share <= 1:
        raise ValueError(f"max_removed_share is a share from 0 to 1, not {max_removed_share}")
    declared = hot_marts(manifest)
    marts = [mart for mart in declared if mart.hot_path or not only_hot_path]
    as_of = naive_utc(as_of)

    def attempt(connection: DuckDBPyConnection) -> SyncReport:
        controls_id = store.controls_id()
        if ledger is not None:
            _restore_erasures(connection, store)
            # outside the transaction: when a loss was noticed stays noted if the sync is refused
            lost_at = ledgers.controls_lost_at(connection, controls_id, utc_now())
            if lost_at is not None and any(mart.controls for mart in declared):
                _require_heard(store, has_heard, lost_at)
        with transaction(connection):
            planner = _Planner(connection, store, with_ledger=ledger is not None, recheck=recheck)
            plans = planner.plans(marts, with_retired=not only_hot_path)
            if not allow_removal:
                _refuse_removals(plans, max_removed_share)
            # a store that is emptied between the two refuses what was planned for what it held
            _require_memory(store, controls_id)
            views = [_apply(connection, store, plan, as_of=as_of, run_id=run_id) for plan in plans]
            _require_memory(store, controls_id)
            if ledger is not None:
                ledgers.note_memory(connection, controls_id)
                for plan, view in zip(plans, views, strict=True):
                    _write_ledger(connection, plan, view.generation)
            settled, waiting = _settle(connection, store, marts)
        return SyncReport(run_id, as_of, tuple(views), settled, waiting)

    with (
        snapshot(warehouse) as connection,
        nullcontext() if ledger is None else ledgers.attached(connection, ledger),
    ):
        for _ in range(attempts - 1):
            try:
                report = attempt(connection)
                break
            except StaleChangeSetError:
                continue
        else:
            report = attempt(connection)
    store.clean()
    return report


def retired_views(store: Store, marts: Sequence[HotMart]) -> list[str]:
    """Views that still hold rows although no hot mart of the manifest feeds them."""
    served = {mart.view for mart in marts}
    return [
        view
        for view in store.views()
        if view not in served and (meta := store.meta(view)) is not None and meta.rows
    ]


def _restore_erasures(connection: DuckDBPyConnection, store: Store) -> None:
    """Erase again whom a store that lost its list, or came back older, knows nothing of."""
    forgotten = ledgers.erased(connection) - store.erasures()
    if not forgotten:
        return
    # by their hashes first: whoever is not there must not come either
    store.remember_erased(forgotten)
    entries = (key for view in store.views() for block in store.ledger(view) for key, _ in block)
    controls = (control.user_id for block in store.controls() for control in block)
    if back := {key for key in chain(entries, controls) if erased_hash(key) in forgotten}:
        store.erase(list(back), clean=False)


def _require_heard(store: Store, has_heard: Callable[[datetime], bool], lost_at: datetime) -> None:
    """Refuse to serve a build from before what users said and the store has forgotten."""
    if not has_heard(lost_at):
        raise LostControlsError(
            f"{store.url} was emptied or restored, restarted, or evicted keys since the last sync, or "
            f"no earlier sync is noted (noticed {lost_at:%Y-%m-%d %H:%M} UTC): it may have lost what "
            "users said and who was erased, and the build does not hold all of that yet; nothing was "
            "moved. Run `attune run`, which loads and builds what waits in the inbox, and then syncs"
        )


def _require_memory(store: Store, controls_id: str) -> None:
    """Refuse to go on with a store that forgot, since the attempt began, what users said."""
    if store.controls_id() != controls_id:
        raise StaleChangeSetError(
            f"{store.url} was emptied, restarted or evicted keys during the sync; run it again"
        )


class _Planner:
    """Compares marts with what was synced."""

    def __init__(
        self, connection: DuckDBPyConnection, store: Store, *, with_ledger: bool, recheck: bool
    ) -> None:
        self._connection = connection
        self._store = store
        self._with_ledger = with_ledger
        self._recheck = recheck

    def plans(self, marts: Sequence[HotMart], *, with_retired: bool) -> list[_Plan]:
        views: list[tuple[str, HotMart | None]] = [(mart.view, mart) for mart in marts]
        if with_retired:
            views += [(view, None) for view in retired_views(self._store, marts)]
        # before any meta and value: an erasure after this is caught by its number
        erased = self._store.erasures()
        load_erased(self._connection, erased)
        return [
            self._plan(view, mart, f"sync_changes_{number}", len(erased))
            for number, (view, mart) in enumerate(views)
        ]

    def _plan(self, view: str, mart: HotMart | None, changes: str, erasures: int) -> _Plan:
        connection = self._connection
        is_as_left = self._store.is_as_left(view)
        if not is_as_left:
            self._store.take_over(view)
        # the meta first: a sync that commits after this is caught by the generation
        meta = self._store.meta(view)
        if mart is not None:
            check_columns(connection, mart)
        if meta is None and mart is not None:
            hot = check_rows(connection, mart, erased=erasures > 0)
            return _Plan(view, mart, None, changes, NOTHING, hot, erasures, False, hot.rows, 0, 0)
        base, noted = self._load_base(view, meta, erasures, is_as_left=is_as_left)
        # a ledger of another model is written anew: its row hashes may be made otherwise
        is_by_ledger = noted is not None and (
            mart is None or noted.schema_version == mart.schema_version
        )
        compared = None
        if is_by_ledger and mart is not None and mart.row_hash is not None:
            self._load_differing(mart, base.rows)
            compared = self._compare(mart, base, changes, erasures, among="differing")
        # what numbers cannot tell, texts can: repeated keys, and two rows of one number
        if compared is None or compared.is_in_doubt:
            compared = self._compare(mart, base, changes, erasures)
        if mart is not None and compared.is_in_doubt:
            check_rows(connection, mart)
            raise VerificationError(
                f"{self._store.url}: {view} has other rows in the warehouse than by what was noted "
                f"of the cache ({compared.hot.rows}); run `attune sync --recheck`, which reads the "
                "cache instead of trusting what was noted"
            )
        return _Plan(
            view,
            mart,
            meta,
            changes,
            base,
            compared.hot,
            erasures,
            is_by_ledger,
            compared.added,
            compared.changed,
            compared.removed,
        )

    def _load_differing(self, mart: HotMart, rows: int) -> None:
        hot = f"({hot_query(mart, erased=False)})"
        load_differing(self._connection, hot, "(select row_hash from sync_base)", rows)

    def _compare(
        self,
        mart: HotMart | None,
        base: Digest,
        changes: str,
        erasures: int,
        *,
        among: str | None = None,
    ) -> _Compared:
        """Make the table of changes, by keys and content hashes.

        Args:
            mart: What to compare; None: everything is gone.
            base: Digest of `sync_base`.
            changes: The table's name.
            erasures: How many keys were erased.
            among: A table of the row hashes that may differ; None: all may.
        """
        connection = self._connection
        self._load_changes(mart, changes, among)
        out_of_mart = self._drop_erased(changes) if erasures else 0
        added, changed, removed, repeated, out_folded, in_folded = row(
            connection,
            f"""
            select
                count(*) filter (old_hash is null),
                count(*) filter (content_hash is not null and old_hash is not null),
                count(*) filter (content_hash is null),
                count(*) - count(distinct key),
                coalesce(bit_xor(md5_number(key || chr(31) || old_hash)), 0),
                coalesce(bit_xor(md5_number(key || chr(31) || content_hash)), 0)
            from {changes}
            """,
        )
        if among is not None and added:
            # a key that is new here may stand unchanged among the rows that were not compared
            (known,) = row(
                connection,
                f"select count(*) from sync_base semi join {changes} as changes "
                "on sync_base.key = changes.key and changes.old_hash is null",
            )
            repeated += known
        hot = Digest(
            base.rows + added - removed,
            checksum_text(int(base.checksum, 16) ^ out_folded ^ in_folded),
        )
        total = hot.rows + out_of_mart
        if mart is not None:
            (total,) = row(connection, f"select count(*) from {mart.relation_name}")
        is_in_doubt = repeated > 0 or total != hot.rows + out_of_mart
        return _Compared(added, changed, removed, hot, is_in_doubt)

    def _load_base(
        self, view: str, meta: ViewMeta | None, erasures: int, *, is_as_left: bool
    ) -> tuple[Digest, ledgers.Noted | None]:
        """Say what the store holds: as view `sync_base`, digested, and what the ledger notes of it.

        Nothing is noted where the ledger alone does not say it.
        """
        connection = self._connection
        noted = ledgers.synced_as(connection, view) if self._with_ledger else None
        is_known = (
            not self._recheck
            and meta is not None
            and noted is not None
            and noted.generation == meta.generation
            and is_as_left
        )
        if not is_known:
            load_stored(connection, self._store.ledger(view), LEDGER_SCHEMA, "sync_base_read")
            connection.execute(
                "create or replace temp view sync_base as select * from sync_base_read"
            )
            return digest(connection, "sync_base"), None
        # what was erased since has left the store, but not yet the ledger
        since = (
            f" where {not_erased('key')}" if noted is not None and noted.erasures < erasures else ""
        )
        connection.execute(
            f"create or replace temp view sync_base as select * from {ledgers.table(view)}{since}"
        )
        if since:
            return digest(connection, "sync_base"), None
        if meta is None:
            raise AssertionError(f"{view}: a ledger is only trusted beside a meta")
        return meta.digest, noted

    def _load_changes(self, mart: HotMart | None, changes: str, among: str | None) -> None:
        hot = NO_ROWS if mart is None else hot_query(mart, erased=False)
        those = "" if among is None else f" where row_hash in (select row_hash from {among})"
        self._connection.execute(
            f"""
            create or replace temp table {changes} as
            select
                coalesce(hot.key, base.key) as key,
                hot.content_hash,
                base.content_hash as old_hash,
                hot.payload,
                hot.row_hash
            from (select * from ({hot}) as mart{those}) as hot
            full join (select key, content_hash from sync_base{those}) as base
                on hot.key = base.key
            where hot.content_hash is distinct from base.content_hash
            """
        )

    def _drop_erased(self, changes: str) -> int:
        """Leave out what the mart has of erased users; return how many rows it has of them."""
        (dropped,) = row(
            self._connection, f"select count(*) from {changes} where not {not_erased('key')}"
        )
        if dropped:
            self._connection.execute(f"delete from {changes} where not {not_erased('key')}")
        return int(dropped)


def _refuse_removals(plans: Sequence[_Plan], max_removed_share: float) -> None:
    refused = [
        f"- {plan.view}: {plan.removed} of {plan.base.rows} keys ({plan.removed_share:.1%})"
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
    everything = NO_ROWS if plan.mart is None else hot_query(plan.mart, plan.erasures > 0)
    # no changes are computed for a refill
    upserts = (
        f"select key, content_hash, payload from {plan.changes} where content_hash is not null"
    )
    meta = store.apply(
        ChangeSet(
            view=plan.view,
            base_generation=0 if plan.meta is None else plan.meta.generation,
            base_erasures=plan.erasures,
            base=plan.base,
            expected=plan.hot,
            removals=_removals(connection, plan),
            upserts=MartRows(connection, NO_ROWS if plan.is_refill else upserts),
            everything=MartRows(connection, everything),
            is_settled=plan.is_settled,
            is_refill=plan.is_refill,
            has_controls=plan.mart is not None and plan.mart.controls is not None,
            schema_version=plan.declared.schema_version,
            as_of=as_of,
            run_id=run_id,
            synced_at=utc_now(),
            max_age_hours=plan.declared.max_age_hours,
        )
    )
    _check_sample(connection, store, plan, everything)
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
        query = f"select key from {plan.changes} where content_hash is null"
        for block in stream(connection, query):
            yield [key for (key,) in block]


def _check_sample(
    connection: DuckDBPyConnection, store: Store, plan: _Plan, everything: str
) -> None:
    """Read meta and some values back; an erasure in between explains a value that is gone."""
    meta = store.meta(plan.view)
    sample = dict(
        connection.execute(
            f"select key, content_hash from ({everything}) as hot using sample {SAMPLED_KEYS} rows"
        ).fetchall()
    )
    entries = store.get_many(plan.view, list(sample))
    wrong = [
        key
        for key, content_hash in sample.items()
        if key not in entries
        or not entries[key].content_hash
        == content_hash
        == md5(entries[key].payload, usedforsecurity=False).hexdigest()
    ]
    if len(store.erasures()) != plan.erasures:
        raise StaleChangeSetError(f"{store.url}: a user was erased during the sync; run it again")
    if meta is None or wrong:
        raise VerificationError(
            f"{store.url}: after the sync {plan.view} is described as {meta} and {len(wrong)} of "
            f"{len(sample)} values read back are not the warehouse's; run `attune verify` to see "
            "where they differ and `attune sync --recheck` to repair"
        )


def _write_ledger(connection: DuckDBPyConnection, plan: _Plan, generation: int) -> None:
    table = ledgers.table(plan.view)
    if plan.is_by_ledger:
        if not plan.is_settled:
            connection.execute(f"delete from {table} where key in (select key from {plan.changes})")
            connection.execute(
                f"insert into {table} select key, content_hash, row_hash from {plan.changes} "
                "where content_hash is not null"
            )
    elif plan.mart is None:
        connection.execute(f"drop table if exists {table}")
        return
    else:
        ledgers.make(connection, plan.view)
        connection.execute(
            f"insert into {table} select key, content_hash, row_hash "
            f"from ({hot_query(plan.mart, plan.erasures > 0)}) as hot"
        )
    noted = ledgers.Noted(generation, plan.erasures, plan.declared.schema_version)
    ledgers.note(connection, plan.view, noted)


def _settle(
    connection: DuckDBPyConnection, store: Store, marts: Sequence[HotMart]
) -> tuple[int, int]:
    """Forget the controls that the warehouse holds; return how many, and how many still wait."""
    waiting = [control[:2] for block in store.controls() for control in block]
    relations = {mart.controls for mart in marts if mart.controls is not None}
    if not waiting or not relations:
        return 0, len(waiting)
    connection.execute(
        "create or replace temp table waiting_controls (user_id varchar, event_id varchar)"
    )
    connection.executemany("insert into waiting_controls values ($1, $2)", waiting)
    held = " or ".join(
        f"event_id in (select event_id from {relation})" for relation in sorted(relations)
    )
    settled = connection.execute(
        f"select user_id, event_id from waiting_controls where {held}"
    ).fetchall()
    store.settle(settled)
    return len(settled), len(waiting) - len(settled)
