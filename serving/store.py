"""What a serving store is, whatever holds the bytes.

One small interface, so that a second store can have the same meaning as the first: a change set
becomes visible as a whole or not at all, every value says which sync last changed it, and an
erased value is gone from the store's files, not only from its answers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from serving.errors import StoreUrlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

SUPPORTED_URLS = "sqlite:///PATH"


class Entry(NamedTuple):
    """A served value and where it comes from; only payload enters the content hash.

    generation, schema_version and as_of (naive UTC) are those of the value's last change.
    """

    payload: bytes
    content_hash: str
    generation: int
    schema_version: str
    as_of: datetime


class Upsert(NamedTuple):
    """One value to write: key and hash as the warehouse computed them."""

    key: str
    content_hash: str
    payload: bytes


class ScannedEntry(NamedTuple):
    """One value of a full scan."""

    key: str
    content_hash: str
    payload: bytes


class Digest(NamedTuple):
    """Row count and order-independent checksum over (key, content_hash), 32 hex digits."""

    rows: int
    checksum: str


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


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Everything that turns one view of the store into the warehouse's.

    Attributes:
        view: The hot mart's name.
        base_generation: Generation the changes were computed against (0: view never seen). The
            store refuses another one, so that a stalled older sync cannot overwrite a newer.
        expected: What the view must hold once applied, as the warehouse counts it.
        removals: Blocks of keys; read to their end before the first block of upserts.
        upserts: Blocks of values; only one block is held in memory at a time.
        is_settled: True when removals and upserts are known to be empty: the generation stays.
    """

    view: str
    base_generation: int
    expected: Digest
    removals: Iterable[Sequence[str]]
    upserts: Iterable[Sequence[Upsert]]
    is_settled: bool
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
        """Return those of the keys that exist, all of one generation of the view."""
        ...

    def views(self) -> list[str]:
        """Return the names of all views ever synced, in order."""
        ...

    def meta(self, view: str) -> ViewMeta | None:
        """Return the view's meta, or None if it was never synced."""
        ...

    def ledger(self, view: str) -> Iterator[list[tuple[str, str]]]:
        """Yield what was synced as blocks of (key, content_hash)."""
        ...

    def scan(self, view: str) -> Iterator[list[ScannedEntry]]:
        """Yield every value of a view in blocks, for a full comparison."""
        ...

    def digest(self, view: str) -> Digest:
        """Count and digest the rows that are really there (not what the meta says)."""
        ...

    def apply(self, change_set: ChangeSet) -> ViewMeta:
        """Apply a change set as a whole and return the meta it left.

        Raises:
            StaleChangeSetError: the view is not at `base_generation` any more.
            VerificationError: the result would differ from `expected`; nothing was written.
            StoreError: the store could not write (disk full, locked, damaged).
        """
        ...

    def erase(self, view: str, keys: Sequence[str]) -> int:
        """Remove values and every trace of them from the store's files.

        Safe to repeat: keys that are already gone still have their traces cleaned.

        Returns:
            How many of the keys were still there.

        Raises:
            IncompleteErasureError: removed, but a reader kept the files from being cleaned.
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


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open the store that a URL names.

    Args:
        url: `sqlite:///relative/path` or `sqlite:////absolute/path`.
        read_only: For readers: never creates a file, and cannot change one.

    Raises:
        StoreUrlError: unknown scheme, or no path.
        StoreError: the store cannot be opened (for readers: there is none yet).
    """
    from serving.sqlite_store import SqliteStore

    scheme, separator, rest = url.partition("://")
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
    return SqliteStore(Path(rest[1:]), read_only=read_only)


def redacted(url: str) -> str:
    """Return a URL fit for a message: without the user and password that it may hold."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
