"""What a serving store is, whatever holds the bytes.

One small interface, so that a second store can have the same meaning as the first: a change set
becomes visible as a whole or not at all, every value says which sync last changed it, and an
erased value is gone from the store's files, not only from its answers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from serving.clock import from_microseconds
from serving.errors import StaleChangeSetError, StoreUrlError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

SUPPORTED_URLS = "sqlite:///PATH, redis://HOST:PORT/DB, rediss://... or unix:///SOCKET"
REDIS_SCHEMES = ("redis", "rediss", "unix")

FileIds: TypeAlias = tuple[tuple[int, int] | None, ...]


class Entry(NamedTuple):
    """A served value and where it comes from; only payload enters the content hash.

    generation, schema_version and as_of_us (microseconds since 1970, UTC) are those of the value's
    last change.
    """

    payload: bytes
    content_hash: str
    generation: int
    schema_version: str
    as_of_us: int

    @property
    def as_of(self) -> datetime:
        """as_of_us as naive UTC: made when it is asked for, for most readers do not."""
        return from_microseconds(self.as_of_us)


class Control(NamedTuple):
    """A user's word that no build holds yet: served over what is stored until one does.

    user_id is the key of the user's values, event_id the id of its event in the inbox, payload
    what was said, as JSON.
    """

    user_id: str
    event_id: str
    payload: bytes


class Read(NamedTuple):
    """All that is known under one key, at one moment.

    entry is None where nothing is stored; controls are payloads of `Control`, oldest first;
    is_erased says that the key was erased for good.
    """

    entry: Entry | None
    controls: tuple[bytes, ...] = ()
    is_erased: bool = False


class ScannedEntry(NamedTuple):
    """One value of a full scan."""

    key: str
    content_hash: str
    payload: bytes


class Digest(NamedTuple):
    """Row count and order-independent checksum over (key, content_hash), 32 hex digits."""

    rows: int
    checksum: str

    def without(self, part: Digest) -> Digest:
        """Return the digest of what is left when `part` is taken away."""
        left = int(self.checksum, 16) ^ int(part.checksum, 16)
        return Digest(self.rows - part.rows, checksum_text(left))


NOTHING = Digest(0, "0" * 32)


@dataclass(frozen=True, slots=True)
class ViewMeta:
    """What a store knows of one view (hot mart) as a whole.

    as_of and synced_at are naive UTC. A sync that moves nothing keeps `generation` and renews
    as_of, run_id and synced_at: staleness is judged from here, not from single values.
    """

    view: str
    generation: int
    rows: int
    checksum: str
    schema_version: str
    as_of: datetime
    run_id: str
    synced_at: datetime
    max_age_hours: float

    @property
    def digest(self) -> Digest:
        """Rows and checksum together."""
        return Digest(self.rows, self.checksum)


class Rows(Protocol):
    """Values of a hot mart that wait in the warehouse; each call reads them anew, in blocks."""

    def blocks(self, *, in_key_order: bool = False) -> Iterator[Sequence[tuple[str, str, bytes]]]:
        """Yield blocks of (key, content_hash, payload), by key if that is asked for."""
        ...

    def encoded(self, expression: str, block_rows: int) -> Iterator[tuple[int, memoryview]]:
        """Yield blocks as their number of rows and their text, encoded by the warehouse.

        Args:
            expression: SQL over the columns key, content_hash and payload, all text: the text of
                one row. The rows of a block are concatenated.
            block_rows: Rows of a block; the last ones may be shorter.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Everything that turns one view of the store into the warehouse's.

    Attributes:
        view: The hot mart's name.
        base_generation: Generation the changes were computed against (0: view never seen). The
            store refuses another one, so that a stalled older sync cannot overwrite a newer.
        base_erasures: Number of erased keys that the changes know of; the store refuses another.
        base: What the view holds now, as the changes were computed.
        expected: What the view must hold once applied, as the warehouse counts it.
        removals: Blocks of keys; read to their end before the first block of upserts.
        upserts: Values that are new or changed; one block at a time is held in memory.
        everything: All values of the view, for a store that fills a view anew.
        is_settled: True when removals and upserts are known to be empty: the generation stays.
        is_refill: True where what is stored is of no use, whatever the changes say.
        has_controls: Whether users control the view: what they said is in its values once settled.
    """

    view: str
    base_generation: int
    base_erasures: int
    base: Digest
    expected: Digest
    removals: Iterable[Sequence[str]]
    upserts: Rows
    everything: Rows
    is_settled: bool
    is_refill: bool
    has_controls: bool
    schema_version: str
    as_of: datetime
    run_id: str
    synced_at: datetime
    max_age_hours: float


class Store(Protocol):
    """A serving cache. Not safe to share between threads; open one per thread."""

    @property
    def url(self) -> str:
        """Where the store is, for messages."""
        ...

    def get(self, view: str, key: str) -> Entry | None:
        """Return one value, or None."""
        ...

    def get_many(self, view: str, keys: Sequence[str]) -> dict[str, Entry]:
        """Return those of the keys that exist; each value is whole, old or new.

        SQLite gives all of one generation of the view; in Redis a sync may come between two keys.
        """
        ...

    def read(self, view: str, key: str) -> Read:
        """Return one value with the controls that wait for its key, as of one moment."""
        ...

    def read_many(self, view: str, keys: Sequence[str]) -> dict[str, Read]:
        """Return those of the keys that have a value or a control, or were erased."""
        ...

    def hold(self) -> None:
        """Read one state until `release`, where the store can: what costs most is then paid once."""
        ...

    def release(self) -> None:
        """Read what is there now again."""
        ...

    def views(self) -> list[str]:
        """Return the names of all views ever synced, in order."""
        ...

    def meta(self, view: str) -> ViewMeta | None:
        """Return the view's meta, or None if it was never synced."""
        ...

    def ledger(self, view: str) -> Iterator[list[tuple[str, str]]]:
        """Yield what was synced as blocks of (key, content_hash).

        Redis may give a key twice, here and in `scan`, while its table grows or shrinks.
        """
        ...

    def scan(self, view: str) -> Iterator[list[ScannedEntry]]:
        """Yield every value of a view in blocks, for a full comparison."""
        ...

    def is_as_left(self, view: str) -> bool:
        """Whether the view is, as far as can be told without reading it, as the last sync left it.

        False after a restart, an eviction or a sync that died: what is stored must be read.
        """
        ...

    def take_over(self, view: str) -> None:
        """Stop what a sync that died may still be writing, so that the view can be read for good.

        Raises:
            StoreError: a sync that is alive writes the view.
        """
        ...

    def apply(self, change_set: ChangeSet) -> ViewMeta:
        """Apply a change set as a whole and return the meta it left.

        Raises:
            StaleChangeSetError: the view is not at `base_generation` any more.
            VerificationError: the result would differ from `expected`; nothing was written.
            StoreError: the store could not write (disk full, locked, damaged).
        """
        ...

    def add_control(self, control: Control) -> None:
        """Serve a user's word from now on; the same event_id again changes nothing.

        Raises:
            ErasedError: the user was erased.
            StoreError: it could not be written.
        """
        ...

    def controls(self) -> Iterator[list[Control]]:
        """Yield the controls that no build holds yet, in blocks; those of a user oldest first."""
        ...

    def settle(self, controls: Iterable[tuple[str, str]]) -> None:
        """Forget controls, given as (user_id, event_id), that what is stored now agrees with.

        Waits until no reader can still be given what was stored before.
        """
        ...

    def controls_id(self) -> str:
        """Name what the store remembers of users; another name than before says that it may be lost."""
        ...

    def remember_erased(self, key_hashes: Iterable[str]) -> None:
        """Take keys for erased, by their hashes as `erasures` gives them."""
        ...

    def erasures(self) -> frozenset[str]:
        """Return the SHA-256 (hex) of every key that was erased: none may be stored again."""
        ...

    def rollback(self, view: str) -> ViewMeta:
        """Serve the state before the last fill again, until the next sync; return its meta.

        Raises:
            StoreError: none is kept, or a user was erased since, or a control of the view was
                settled: neither is ever taken back.
        """
        ...

    def erase(self, keys: Sequence[str], *, clean: bool = True) -> int:
        """Remove users from every view, with their controls and every trace in the store's files.

        The keys stay erased: no later sync or control brings them back. Safe to repeat: keys that
        are already gone still have their traces cleaned.

        Args:
            keys: The users' keys.
            clean: Clean the files now, which reads and writes them whole; False leaves that to
                the next sync, and waits for nobody who writes values.

        Returns:
            How many values were deleted.

        Raises:
            IncompleteErasureError: removed and no longer served, but the files are not clean yet.
        """
        ...

    def clean(self) -> None:
        """Finish what an erasure has left to be cleaned, and leave no log that grows; changes no value.

        Raises:
            IncompleteErasureError: the files are not clean yet.
            StoreError: the store cannot be reached.
        """
        ...

    def close(self) -> None:
        """Release files and connections; further calls fail."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def stale(
    url: str, change_set: ChangeSet, what: Literal["generation", "erasure"], found: object
) -> StaleChangeSetError:
    """Return the error of a change set that a sync (generation) or an erasure has overtaken."""
    known = change_set.base_generation if what == "generation" else change_set.base_erasures
    return StaleChangeSetError(
        f"{url}: {change_set.view} is at {what} {found}, the changes were computed against {known}: "
        f"another {'sync' if what == 'generation' else 'erasure'} came between; run the sync again"
    )


def require_rows(url: str, change_set: ChangeSet, rows: int) -> None:
    """Refuse a view that came out with another number of rows than the warehouse counts.

    Raises:
        VerificationError: what was noted of the store was wrong.
    """
    if rows != change_set.expected.rows:
        raise VerificationError(
            f"{url}: {change_set.view} comes out with {rows} rows, the warehouse has "
            f"{change_set.expected.rows}. Run `attune sync --recheck`, which reads the cache "
            "instead of trusting what was noted of it"
        )


def digest_of(blocks: Iterable[Iterable[tuple[str, str]]]) -> Digest:
    """Digest (key, content_hash) pairs: XOR of MD5(key, 0x1F, content_hash), in any order.

    The warehouse computes the same in SQL (`serving.sync`), hence MD5 and XOR. Keys are unique
    in a view, so equal pairs cannot cancel out.
    """
    md5 = hashlib.md5
    rows = 0
    folded = 0
    for block in blocks:
        for key, content_hash in block:
            text = f"{key}\x1f{content_hash}".encode()
            folded ^= int.from_bytes(md5(text, usedforsecurity=False).digest(), "little")
            rows += 1
    return Digest(rows, checksum_text(folded))


def checksum_text(folded: int) -> str:
    """Write a 128-bit checksum the one way it is compared: 32 lower-case hex digits."""
    return f"{folded:032x}"


def erased_hash(key: str) -> str:
    """Return what is remembered of an erased key: its SHA-256, 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open the store that a URL names.

    Args:
        url: `sqlite:///relative/path` or `sqlite:////absolute/path`; `redis://`, `rediss://` (TLS)
            or `unix://` with user, password and database as redis-py reads them, and `prefix=`
            for the names of the keys (default attune).
        read_only: For readers: never creates a file, and cannot change one; gives up sooner on a
            slow server.

    Raises:
        StoreUrlError: unknown scheme, or no path.
        StoreError: the store cannot be opened (for readers: there is none yet).
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in REDIS_SCHEMES:
        from serving.redis_store import RedisStore

        return RedisStore(url, read_only=read_only)
    if not separator or scheme != "sqlite":
        raise StoreUrlError(
            f"no store for the cache URL {redacted(url)!r}: supported is {SUPPORTED_URLS}; "
            "set ATTUNE_CACHE_URL to that form"
        )
    if not rest.startswith("/") or rest == "/":
        raise StoreUrlError(
            f"the cache URL {url!r} names no file: write sqlite:///PATH (three slashes; a fourth "
            "starts an absolute path)"
        )
    from serving.sqlite_store import SqliteStore

    return SqliteStore(Path(rest[1:]), read_only=read_only)


def file_ids(url: str) -> FileIds:
    """Tell the files that a URL names now from others that were, or will be, in their place.

    Returns:
        Device and number of each file, None for one that is not there; nothing for a server. No
        other file gets these as long as somebody has the file open.
    """
    scheme, _, rest = url.partition("://")
    if scheme in REDIS_SCHEMES:
        return ()
    from serving.sqlite_store import files_of

    return tuple(_file_id(path) for path in files_of(Path(rest[1:])))


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def redacted(url: str) -> str:
    """Return a URL fit for a message: without the user and password that it may hold."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
