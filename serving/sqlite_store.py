"""The embedded default store: two SQLite files in WAL mode.

`PATH` holds values and meta, which change in one transaction, so that they cannot disagree.
`PATH.controls` holds what users said and who was erased: it is written at once, however long a
sync or a VACUUM locks the large file. Readers look into the small file before the large one, and
writers change the large one, for good, before they forget anything in the small one: whoever finds
no control there finds a value that holds it. A view that users control names the small file that its
values were written beside (`controls_id`): beside another one, which has not heard what they took
back, readers find none of them until a sync has written the view again. What a crash between the two leaves undone stands in
the small file (`leaving`, `pending_erasures`), and the next sync does it.

On erasing: `secure_delete` zeroes a deleted cell where it lies, but when SQLite splits or merges
a page it may leave a stale copy of a moved cell in that page's free space (measured: about one in
a thousand erased rows). `erase` therefore rebuilds the file (VACUUM) before it truncates the log.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import apsw
import orjson

from serving.clock import from_microseconds, to_microseconds
from serving.errors import (
    ErasedError,
    IncompleteErasureError,
    StoreError,
)
from serving.store import (
    Control,
    Entry,
    Read,
    ScannedEntry,
    ViewMeta,
    digest_of,
    erased_hash,
    require_rows,
    stale,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from serving.store import ChangeSet

# 3.51.3 fixes a WAL reset that could lose committed pages under concurrent checkpoints
MINIMUM_SQLITE = (3, 51, 3)
# "atun" and "atuc": tell our files from another application's, and from each other
VALUES_ID, CONTROLS_ID = 0x6174756E, 0x61747563
FORMATS = {VALUES_ID: 5, CONTROLS_ID: 4}
BUSY_TIMEOUT_MS = 10_000
BUSY_PAUSE_SECONDS = 0.02
LOG_BYTES_KEPT = 64 * 1024 * 1024
BLOCK_ROWS = 10_000
MAPPED_BYTES = 1 << 30
CACHE_KIBIBYTES = 64 * 1024

# entries have a rowid: in a table without one, payloads lie in the inner pages too, four to a page,
# and finding a key reads more pages the more keys there are
_SCHEMA = """
create table views (
    view text primary key,
    generation integer not null,
    row_count integer not null,
    checksum text not null,
    schema_version text not null,
    as_of_us integer not null,
    run_id text not null,
    synced_at_us integer not null,
    max_age_hours real not null,
    -- null where users do not control the view
    controls_id text
) strict, without rowid;
create table entries (
    view text not null,
    key text not null,
    content_hash text not null,
    generation integer not null,
    schema_version text not null,
    as_of_us integer not null,
    payload blob not null,
    primary key (view, key)
) strict;
"""
_CONTROLS_SCHEMA = """
create table controls (
    number integer primary key,
    user_id text not null,
    event_id text not null,
    payload blob not null,
    unique (user_id, event_id)
) strict;
create table erasures (
    key_hash text primary key
) strict, without rowid;
-- erased users whose values may still lie in the other file, where nobody is shown them
create table leaving (
    user_id text primary key
) strict, without rowid;
create table pending_erasures (
    only_row integer primary key check (only_row = 1),
    -- another one with each erasure
    mark text not null
) strict;
create table identity (
    controls_id text not null
) strict;
insert into identity values (lower(hex(randomblob(16))));
"""

# the readers' connection has the controls as its main database: SQLite takes its snapshots in the
# order of the databases, so that of the values is the later one in every statement here
_GET = """
select payload, content_hash, generation, schema_version, as_of_us
from entries
where view = ?1 and key = ?2 and not exists (select 1 from leaving where user_id = ?2)
"""
_GET_MANY = """
select
    entries.key,
    entries.payload,
    entries.content_hash,
    entries.generation,
    entries.schema_version,
    entries.as_of_us
from json_each(?) as wanted
-- cross: by key, whatever SQLite thinks of the number of keys
cross join entries on entries.view = ? and entries.key = wanted.value
where not exists (select 1 from leaving where user_id = wanted.value)
"""
_META = """
select
    generation, row_count, checksum, schema_version, as_of_us, run_id, synced_at_us, max_age_hours
from views where view = ?
"""
# a value that no control waits for, which nearly all are; one statement is one snapshot
_READ_ALONE = """
select payload, content_hash, generation, schema_version, as_of_us
from entries
where
    view = ?1
    and key = ?2
    and not exists (select 1 from controls where user_id = ?2)
    and not exists (select 1 from leaving where user_id = ?2)
"""
# the same where a snapshot holds no control and nobody who is leaving
_READ_ONLY = """
select payload, content_hash, generation, schema_version, as_of_us
from entries
where view = ?1 and key = ?2
"""
# reads the controls' file alone
_IS_QUIET = """
select not exists (select 1 from controls) and not exists (select 1 from leaving)
"""
_READ_MANY = """
select
    wanted.value,
    entries.payload,
    entries.content_hash,
    entries.generation,
    entries.schema_version,
    entries.as_of_us,
    controls.payload
from json_each(?) as wanted
left join entries
    on entries.view = ?
    and entries.key = wanted.value
    and not exists (select 1 from leaving where user_id = wanted.value)
left join controls on controls.user_id = wanted.value
order by wanted.key, controls.number
"""
_HAS_LOST_CONTROLS = """
select count(*) > 0
from views
where row_count > 0 and controls_id <> (select controls_id from identity)
"""
# a temporary view comes before the table of its name
_HIDE_UNCONTROLLED = """
create temporary view views as
select *
from served.views
where controls_id is null or controls_id = (select controls_id from main.identity);
create temporary view entries as
select *
from served.entries
where view in (select view from temp.views);
"""
# parameters: key, content_hash, payload; what all rows of a change set share is written in
_INSERT = """
insert {or_ignore} into entries
(view, key, content_hash, generation, schema_version, as_of_us, payload)
values ({view}, ?1, ?2, {generation}, {schema_version}, {as_of_us}, ?3)
"""
_UPDATE = """
update entries set
    content_hash = ?2,
    generation = {generation},
    schema_version = {schema_version},
    as_of_us = {as_of_us},
    payload = ?3
where view = {view} and key = ?1
"""


class SqliteStore:
    """A `serving.store.Store` in a SQLite file, and a small one beside it for what users said.

    Args:
        path: The file of the values; a writer creates both files and their folder.
        read_only: Open for reading alone.
        busy_timeout_ms: How long to wait for another process's lock before giving up.

    Raises:
        StoreError: SQLite is too old, a file is not of a cache of this format, or (read only)
            there is none yet.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, busy_timeout_ms: int = BUSY_TIMEOUT_MS
    ) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        self._path, self._busy_timeout_ms = path, busy_timeout_ms
        self._read_only = read_only
        _, self._controls_path = files_of(path)
        self._opened: list[apsw.Connection] = []
        self._read_one = _READ_ALONE
        try:
            if read_only:
                self._require_files()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._values = self._open(path)
                self._prepare(self._values, _SCHEMA, VALUES_ID)
                self._said = self._open(self._controls_path)
                self._prepare(self._said, _CONTROLS_SCHEMA, CONTROLS_ID)
                # a word that was taken outlives a power cut; small as it is, that costs little
                self._said.pragma("synchronous", "full")
            self._connection = self._open_for_reading()
            if read_only:
                self._values = self._said = self._connection
        except (apsw.Error, OSError) as error:
            self.close()
            raise self._explained("open", error) from error
        except StoreError:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"sqlite:///{self._path}"

    def get(self, view: str, key: str) -> Entry | None:
        try:
            row = self._connection.execute(_GET, (view, key)).get
        except apsw.Error as error:
            raise self._explained("read", error) from error
        return None if row is None else Entry(*row)

    def get_many(self, view: str, keys: Sequence[str]) -> dict[str, Entry]:
        # one statement is one snapshot: the values cannot be of two generations
        try:
            rows = self._connection.execute(_GET_MANY, (orjson.dumps(list(keys)).decode(), view))
            return {key: Entry(*row) for key, *row in rows}
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def read(self, view: str, key: str) -> Read:
        try:
            row = self._connection.execute(self._read_one, (view, key)).get
        except apsw.Error as error:
            raise self._explained("read", error) from error
        if row is None:
            return self.read_many(view, [key]).get(key) or Read(None)
        return Read(Entry(*row))

    def read_many(self, view: str, keys: Sequence[str]) -> dict[str, Read]:
        # one transaction is one snapshot of values, controls and erasures
        found: dict[str, Read] = {}
        try:
            with self._connection:
                wanted = (orjson.dumps(list(keys)).decode(), view)
                for key, payload, *origin, control in self._connection.execute(_READ_MANY, wanted):
                    if payload is None and control is None:
                        if self._is_erased(self._connection, key):
                            found[key] = Read(None, is_erased=True)
                        continue
                    before = found.get(key)
                    if before is not None:
                        found[key] = before._replace(controls=(*before.controls, control))
                        continue
                    entry = None if payload is None else Entry(payload, *origin)
                    found[key] = Read(entry, () if control is None else (control,))
        except apsw.Error as error:
            raise self._explained("read", error) from error
        return found

    def hold(self) -> None:
        try:
            self._connection.execute("begin")
            # the controls' snapshot is the first, whatever is read then
            if self._connection.execute(_IS_QUIET).get:
                self._read_one = _READ_ONLY
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def release(self) -> None:
        self._read_one = _READ_ALONE
        try:
            self._connection.execute("commit")
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def views(self) -> list[str]:
        try:
            return [row[0] for row in self._connection.execute("select view from views order by 1")]
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def meta(self, view: str) -> ViewMeta | None:
        return self._meta(self._connection, view)

    def _meta(self, connection: apsw.Connection, view: str) -> ViewMeta | None:
        try:
            row = connection.execute(_META, (view,)).get
        except apsw.Error as error:
            raise self._explained("read", error) from error
        if row is None:
            return None
        generation, rows, checksum, schema_version, as_of, run_id, synced_at, max_age_hours = row
        return ViewMeta(
            view=view,
            generation=generation,
            rows=rows,
            checksum=checksum,
            schema_version=schema_version,
            as_of=from_microseconds(as_of),
            run_id=run_id,
            synced_at=from_microseconds(synced_at),
            max_age_hours=max_age_hours,
        )

    def ledger(self, view: str) -> Iterator[list[tuple[str, str]]]:
        yield from self._blocks("select key, content_hash from entries where view = ?", view)

    def scan(self, view: str) -> Iterator[list[ScannedEntry]]:
        query = "select key, content_hash, payload from entries where view = ?"
        for block in self._blocks(query, view):
            yield [ScannedEntry(*row) for row in block]

    def is_as_left(self, view: str) -> bool:
        # values and meta change in one transaction of one file, but for what an erasure has left
        return self.meta(view) is not None and not self._leaving()

    def take_over(self, view: str) -> None:  # noqa: ARG002 (the interface's)
        # a transaction of a process that died is gone
        self._remove_leaving()

    def apply(self, change_set: ChangeSet) -> ViewMeta:
        view = change_set.view
        with self._transaction(self._values, "apply a change set to"):
            before = self._meta(self._values, view)
            generation = 0 if before is None else before.generation
            self._require_current(change_set, generation)
            if not change_set.is_settled:
                generation += 1
                rows = self._write_entries(change_set, generation)
                require_rows(self.url, change_set, rows)
            after = ViewMeta(
                view=view,
                generation=generation,
                rows=change_set.expected.rows,
                checksum=change_set.expected.checksum,
                schema_version=change_set.schema_version,
                as_of=change_set.as_of,
                run_id=change_set.run_id,
                synced_at=change_set.synced_at,
                max_age_hours=change_set.max_age_hours,
            )
            self._write_meta(after, self.controls_id() if change_set.has_controls else None)
        return after

    def rollback(self, view: str) -> ViewMeta:
        raise StoreError(
            f"{self.url}: SQLite keeps no earlier state of {view}: its change sets replace values in "
            "place; mend the model, build and sync again"
        )

    def add_control(self, control: Control) -> None:
        with self._transaction(self._said, "write a control to"):
            if self._is_erased(self._said, control.user_id):
                raise ErasedError(f"{self.url}: the user was erased, nothing is kept of them")
            self._said.execute(
                "insert or ignore into controls (user_id, event_id, payload) values (?, ?, ?)",
                control,
            )

    def controls(self) -> Iterator[list[Control]]:
        query = "select user_id, event_id, payload from controls order by number"
        for block in self._blocks(query):
            yield [Control(*row) for row in block]

    def settle(self, controls: Iterable[tuple[str, str]]) -> None:
        # a power cut must not take the values back whose controls are forgotten
        self._flush_values()
        with self._transaction(self._said, "settle controls in"):
            self._said.executemany(
                "delete from controls where user_id = ? and event_id = ?", controls
            )

    def controls_id(self) -> str:
        try:
            return str(self._connection.execute("select controls_id from identity").get)
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def remember_erased(self, key_hashes: Iterable[str]) -> None:
        with self._transaction(self._said, "write erasures to"):
            self._said.executemany(
                "insert or ignore into erasures values (?)", ((each,) for each in key_hashes)
            )

    def erasures(self) -> frozenset[str]:
        try:
            rows = self._connection.execute("select key_hash from erasures")
            return frozenset(key_hash for (key_hash,) in rows)
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def erase(self, keys: Sequence[str], *, clean: bool = True) -> int:
        mark = secrets.token_hex(16)
        with self._transaction(self._said, "erase from"):
            # a process that dies before the files are clean leaves this mark for the next writer
            self._said.execute("insert or replace into pending_erasures values (1, ?)", (mark,))
            self._said.executemany(
                "insert or ignore into erasures values (?)", ((erased_hash(key),) for key in keys)
            )
            self._said.executemany(
                "insert or ignore into leaving values (?)", ((key,) for key in keys)
            )
            self._said.executemany(
                "delete from controls where user_id = ?", ((key,) for key in keys)
            )
        # from here on nobody is shown them; whoever does not clean does not wait for a lock either
        self._values.set_busy_timeout(self._busy_timeout_ms if clean else 0)
        try:
            removed = self._remove_leaving()
        except StoreError as error:
            if clean:
                raise IncompleteErasureError(self._incomplete(str(error))) from error
            removed = 0
        finally:
            self._values.set_busy_timeout(self._busy_timeout_ms)
        if clean:
            self._clean_files(mark)
        return removed

    def clean(self) -> None:
        # before anything is removed: who erases after this leaves another mark
        mark = self._unclean_mark()
        if mark is not None or self._leaving():
            try:
                self._remove_leaving()
            except StoreError as error:
                raise IncompleteErasureError(self._incomplete(str(error))) from error
            self._clean_files(mark)
        else:
            self._shorten_log()

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _require_files(self) -> None:
        if not (self._path.is_file() and self._controls_path.is_file()):
            raise self._none_yet()

    def _open(self, path: Path, *, read_only: bool = False) -> apsw.Connection:
        access = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        flags = apsw.SQLITE_OPEN_READONLY if read_only else access
        connection = apsw.Connection(str(path), flags=flags)
        self._opened.append(connection)
        connection.set_busy_timeout(self._busy_timeout_ms)
        return connection

    def _open_for_reading(self) -> apsw.Connection:
        connection = self._open(self._controls_path, read_only=True)
        connection.execute("attach ? as served", (str(self._path),))
        connection.pragma("cache_size", -CACHE_KIBIBYTES, schema="served")
        if self._read_only:
            # a value of a page's length costs a system call each time where the file is not mapped
            connection.pragma("mmap_size", MAPPED_BYTES, schema="served")
        self._check_format(connection, "main", CONTROLS_ID)
        self._check_format(connection, "served", VALUES_ID)
        # a sync has to see what is there, to bring it to what the warehouse has
        if self._read_only and connection.execute(_HAS_LOST_CONTROLS).get:
            connection.execute(_HIDE_UNCONTROLLED)
        return connection

    def _prepare(self, connection: apsw.Connection, schema: str, application_id: int) -> None:
        """Make a file ready for writing; one that is ready already is not locked for that."""
        if self._with_log(connection) != "wal":
            raise StoreError(
                f"{self._path}: this file system cannot hold a WAL; set ATTUNE_CACHE_URL to a "
                "path on a local disk"
            )
        if connection.pragma("secure_delete", 1) != 1:
            raise StoreError(
                f"{self._path}: this SQLite was built without secure_delete, erased values would "
                "stay in the file; install the apsw wheel that the lock file names"
            )
        # a commit survives a killed process; power loss costs at most the last whole commit
        connection.pragma("synchronous", "normal")
        # a transaction that outgrows the cache writes its pages twice
        connection.pragma("cache_size", -CACHE_KIBIBYTES)
        # a large change set's log does not keep its size on disk
        connection.pragma("journal_size_limit", LOG_BYTES_KEPT)
        is_new = "select count(*) = 0 from sqlite_schema"
        if connection.execute(is_new).get:
            with self._transaction(connection, "prepare"):
                if connection.execute(is_new).get:
                    connection.pragma("application_id", application_id)
                    connection.pragma("user_version", FORMATS[application_id])
                    connection.execute(schema)
        self._check_format(connection, "main", application_id)

    def _with_log(self, connection: apsw.Connection) -> str:
        """Ask for a write-ahead log and return the journal that there is then.

        Of those who make a file at once, one changes its journal; SQLite lets none of the others wait.
        """
        deadline = time.monotonic() + self._busy_timeout_ms / 1000
        while True:
            try:
                return str(connection.pragma("journal_mode", "wal"))
            except apsw.BusyError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(BUSY_PAUSE_SECONDS)

    def _check_format(self, connection: apsw.Connection, schema: str, application_id: int) -> None:
        found = (
            connection.pragma("application_id", schema=schema),
            connection.pragma("user_version", schema=schema),
        )
        wanted = application_id, FORMATS[application_id]
        if (
            found == (0, 0)
            and connection.execute(f"select count(*) = 0 from {schema}.sqlite_schema").get
        ):
            # somebody is about to make it
            raise self._none_yet()
        if found != wanted:
            raise StoreError(
                f"{connection.db_filename(schema)} is not an attune cache of format {wanted[1]} "
                f"(application id and format found: {found}); set ATTUNE_CACHE_URL to another "
                f"file, or, if it is an old cache, {self._delete_hint}"
            )

    def _blocks(self, query: str, *parameters: str) -> Iterator[list[Any]]:
        try:
            cursor = self._connection.execute(query, parameters)
            while block := list(islice(cursor, BLOCK_ROWS)):
                yield block
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def _is_erased(self, connection: apsw.Connection, key: str) -> bool:
        query = "select count(*) from erasures where key_hash = ?"
        return bool(connection.execute(query, (erased_hash(key),)).get)

    def _leaving(self) -> list[str]:
        """Erased users whose values may still be there."""
        try:
            return [user for (user,) in self._said.execute("select user_id from leaving")]
        except apsw.Error as error:
            raise self._explained("read", error) from error

    def _unclean_mark(self) -> str | None:
        """The mark of the last erasure that may have left bytes in the files."""
        try:
            mark: str | None = self._said.execute("select mark from pending_erasures").get
        except apsw.Error as error:
            raise self._explained("read", error) from error
        return mark

    def _remove_leaving(self) -> int:
        """Delete the values of erased users; return how many there were."""
        leaving = self._leaving()
        if not leaving:
            return 0
        with self._transaction(self._values, "erase from"):
            views = [view for (view,) in self._values.execute("select view from views")]
            removed = sum(self._erase_from(view, leaving) for view in views)
        # a power cut must not bring values back that nothing hides any more
        self._flush_values()
        with self._transaction(self._said, "erase from"):
            self._said.executemany(
                "delete from leaving where user_id = ?", ((user,) for user in leaving)
            )
        return removed

    def _flush_values(self) -> None:
        """Bring what was committed to the disk.

        The log alone: a checkpoint flushes what it moves, and closing the file itself here would
        end the locks that SQLite holds on it.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        try:
            if log.exists():
                descriptor = os.open(log, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise self._explained("write", error) from error

    def _require_current(self, change_set: ChangeSet, generation: int) -> None:
        """Refuse changes that do not know of a later sync or erasure."""
        erasures = self._said.execute("select count(*) from erasures").get
        if generation != change_set.base_generation:
            raise stale(self.url, change_set, "generation", generation)
        if erasures != change_set.base_erasures:
            raise stale(self.url, change_set, "erasure", erasures)

    def _erase_from(self, view: str, keys: Sequence[str]) -> int:
        """Delete keys of a view and bring its meta to what is left; return how many were there."""
        found = self._values.execute(
            "select entries.key, entries.content_hash from json_each(?) as wanted "
            "cross join entries on entries.view = ? and entries.key = wanted.value",
            (orjson.dumps(list(keys)).decode(), view),
        )
        rows = [(str(key), str(content_hash)) for key, content_hash in found]
        before = self._meta(self._values, view)
        if not rows or before is None:
            return 0
        self._values.executemany(
            "delete from entries where view = ? and key = ?", ((view, key) for key, _ in rows)
        )
        left = before.digest.without(digest_of([rows]))
        self._values.execute(
            "update views set row_count = ?, checksum = ? where view = ?", (*left, view)
        )
        return len(rows)

    def _write_entries(self, change_set: ChangeSet, generation: int) -> int:
        """Write the changes and return how many rows the view holds then."""
        view = change_set.view
        shared = {
            "view": apsw.format_sql_value(view),
            "generation": generation,
            "schema_version": apsw.format_sql_value(change_set.schema_version),
            "as_of_us": to_microseconds(change_set.as_of),
        }
        if change_set.is_refill:
            self._values.execute("delete from entries where view = ?", (view,))
            insert = _INSERT.format(or_ignore="", **shared)
            return sum(
                self._write_many(insert, block)
                for block in change_set.everything.blocks(in_key_order=True)
            )
        rows = change_set.base.rows
        delete = f"delete from entries where view = {shared['view']} and key = ?"
        for keys in change_set.removals:
            rows -= self._write_many(delete, ((key,) for key in keys))
        update = _UPDATE.format(**shared)
        insert = _INSERT.format(or_ignore="or ignore", **shared)
        for block in change_set.upserts.blocks():
            self._write_many(update, block)
            rows += self._write_many(insert, block)
        return rows

    def _write_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute a statement for each row and return how many rows it changed."""
        before: int = self._values.total_changes()
        self._values.executemany(statement, rows)
        return int(self._values.total_changes()) - before

    def _write_meta(self, meta: ViewMeta, controls_id: str | None) -> None:
        self._values.execute(
            "insert or replace into views values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                meta.view,
                meta.generation,
                meta.rows,
                meta.checksum,
                meta.schema_version,
                to_microseconds(meta.as_of),
                meta.run_id,
                to_microseconds(meta.synced_at),
                meta.max_age_hours,
                controls_id,
            ),
        )

    @contextmanager
    def _transaction(self, connection: apsw.Connection, doing: str) -> Iterator[None]:
        """Write as a whole: IMMEDIATE, so that what is read first cannot be outdated by another."""
        try:
            connection.execute("begin immediate")
        except apsw.Error as error:
            raise self._explained(doing, error) from error
        try:
            yield
            connection.execute("commit")
        except apsw.Error as error:
            raise self._explained(doing, error) from error
        finally:
            # a full disk may have rolled back already
            if connection.in_transaction:
                connection.execute("rollback")

    def _clean_files(self, mark: str | None) -> None:
        """Rebuild both files and empty their logs, so that no deleted byte is left in any.

        Args:
            mark: Of the last erasure whose values were removed before.
        """
        for connection in (self._values, self._said):
            try:
                connection.execute("vacuum")
            except apsw.Error as error:
                raise IncompleteErasureError(self._incomplete(str(error))) from error
            # a checkpoint that loses the race against another writer gives up at once
            deadline = time.monotonic() + self._busy_timeout_ms / 1000
            while (reason := self._empty_log(connection)) is not None:
                if time.monotonic() >= deadline:
                    raise IncompleteErasureError(self._incomplete(reason))
                time.sleep(BUSY_PAUSE_SECONDS)
        with self._transaction(self._said, "finish an erasure in"):
            # whoever erased meanwhile is not clean
            self._said.execute("delete from pending_erasures where mark = ?", (mark,))

    def _shorten_log(self) -> None:
        """Empty the values' log if nobody reads or writes them: whoever opens them next reads it all.

        SQLite does so at a writer's last close, but here a reader's is the last.
        """
        self._values.set_busy_timeout(0)
        try:
            # answers that it was busy, where it was: then the next sync does it
            self._values.execute("pragma wal_checkpoint(truncate)").fetchall()
        except apsw.Error as error:
            raise self._explained("shorten the log of", error) from error
        finally:
            self._values.set_busy_timeout(self._busy_timeout_ms)

    def _empty_log(self, connection: apsw.Connection) -> str | None:
        """Move the log into the file and empty it; why it was not emptied, None if it was."""
        try:
            frames = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError as error:
            return str(error)
        except apsw.Error as error:
            raise IncompleteErasureError(self._incomplete(str(error))) from error
        # the answer counts: a checkpoint that left frames behind is not an error to SQLite
        return None if frames == (0, 0) else f"frames left in the log: {frames}"

    def _none_yet(self) -> StoreError:
        return StoreError(f"there is no cache at {self._path} yet: run `attune sync` first")

    @property
    def _delete_hint(self) -> str:
        return (
            f"delete {self._path} and {self._controls_path.name} beside it, each with its -wal and "
            "-shm, and run `attune run`, which fills them in full with what users have said meanwhile"
        )

    def _incomplete(self, reason: str) -> str:
        return (
            f"{self.url}: the values are no longer served, but their bytes may still "
            f"be in the files ({reason}); close long-running readers and erase the same keys "
            "again (the next sync also tries)"
        )

    def _explained(self, doing: str, error: apsw.Error | OSError) -> StoreError:
        match error:
            case apsw.FullError():
                hint = "the disk is full; the state before is kept, free space and run again"
            case apsw.BusyError():
                hint = "another process holds its lock; wait for it to end and run again"
            case apsw.CorruptError() | apsw.NotADBError():
                hint = f"a file is damaged; {self._delete_hint}"
            case apsw.CantOpenError() | apsw.PermissionsError() | apsw.ReadOnlyError() | OSError():
                hint = "check that this process may read and write the file and its folder"
            case _:
                hint = "check ATTUNE_CACHE_URL and the file"
        return StoreError(f"could not {doing} the cache {self._path}: {error}; {hint}")


def files_of(path: Path) -> tuple[Path, Path]:
    """Return the file of the values, and the one of what users said."""
    return path, path.with_name(f"{path.name}.controls")


def check_sqlite_version(version: str) -> None:
    """Refuse a SQLite that may lose committed pages.

    Raises:
        StoreError: older than 3.51.3.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_SQLITE:
        minimum = ".".join(str(part) for part in MINIMUM_SQLITE)
        raise StoreError(
            f"SQLite {version} has a WAL bug that loses committed data (fixed in {minimum}): "
            f"install an apsw wheel of {minimum} or newer"
        )
