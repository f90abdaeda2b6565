"""The cache as the API sees it: a reader that never waits for a store that is gone.

Users of the store, each with its own connection: the event loop reads, one thread looks once a
second at what is declared and how old everything is, another writes controls and erasures, and
where the cache is a server one more has its files cleaned. As soon as one of the first two meets trouble nobody reads any more, until a look succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from serving.api.catalog import Catalog, read_catalog
from serving.client import PROFILE_VIEW
from serving.errors import IncompleteErasureError, ServingError, StoreError
from serving.store import Read, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from serving.client import Freshness
    from serving.overlay import Declared
    from serving.store import Control, Store

log = logging.getLogger(__name__)


class Cache:
    """The serving cache of one API process."""

    def __init__(
        self,
        url: str,
        now: Callable[[], datetime],
        on_trouble: Callable[[], None],
        declared: Declared,
    ) -> None:
        """Take what the API reads from, and what it answers before it could.

        Args:
            url: The cache's.
            now: The clock, naive UTC.
            on_trouble: Called whenever the cache fails.
            declared: Dimensions and purposes until the cache was read once.
        """
        self._url = url
        self._now = now
        self._on_trouble = on_trouble
        self._reader: Store | None = None
        # the reader while it holds the snapshot of this turn
        self._held: Store | None = None
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="cache-look")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cache-write")
        # a file needs no round trip: alone is as good as together
        self.is_remote = not url.startswith("sqlite:")
        # a server takes minutes to write its files anew, and controls meanwhile; a file that is
        # written anew takes none, so that they wait in line for it
        self._cleaner = (
            ThreadPoolExecutor(1, thread_name_prefix="cache-clean")
            if self.is_remote
            else self._writer
        )
        self._asking: list[tuple[Sequence[str], asyncio.Future[dict[str, Read] | None]]] = []
        self._cleaning: set[asyncio.Task[None]] = set()
        self._trouble = ""
        self.catalog = Catalog(declared=declared)
        self.is_available = False
        # whether the profiles are older than declared, or were never synced
        self.is_stale = True

    @property
    def freshness(self) -> Freshness | None:
        """How old the profiles are; None before the first sync."""
        return self.catalog.freshness

    async def look(self) -> None:
        """Read catalog and freshness anew, and say whether the cache can be read."""
        loop = asyncio.get_running_loop()
        before = self.catalog
        try:
            self.catalog = await loop.run_in_executor(self._looker, self._look, before)
        except ServingError as error:
            self._fail(error)
            return
        if self.catalog.freshness is None or before.freshness is None:
            self._drop_reader()
        elif self.catalog.freshness.synced_at != before.freshness.synced_at:
            # the file may be another one since the sync
            self._drop_reader()
        self.is_stale = self.freshness is None or self.freshness.is_stale
        if self._trouble:
            log.warning("the cache can be read again")
        self._trouble, self.is_available = "", True

    def read(self, key: str) -> Read | None:
        """Return what is known under a key now, or None if the cache cannot be read."""
        if not self.is_available:
            return None
        try:
            return (self._held or self._hold()).read(PROFILE_VIEW, key)
        except ServingError as error:
            self._fail(error)
            return None

    def read_many(self, keys: Sequence[str]) -> dict[str, Read] | None:
        """Return what is known under the keys, or None if the cache cannot be read."""
        if not self.is_available:
            return None
        try:
            return self._opened().read_many(PROFILE_VIEW, keys)
        except ServingError as error:
            self._fail(error)
            return None

    async def read_together(self, keys: Sequence[str]) -> dict[str, Read] | None:
        """Return what is known under the keys, read at once for all who ask in this turn.

        One round trip to a server then serves as many requests as came together.
        """
        loop = asyncio.get_running_loop()
        if not self._asking:
            loop.call_soon(self._answer_all)
        found: asyncio.Future[dict[str, Read] | None] = loop.create_future()
        self._asking.append((keys, found))
        return await found

    async def add_control(self, control: Control) -> None:
        """Serve a control from now on.

        Raises:
            ErasedError: the user was erased.
            StoreError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._add_control, control)

    async def erase(self, keys: Sequence[str]) -> None:
        """Stop serving users, for good; the store's files are cleaned after that, in the background.

        Raises:
            StoreError: it could not be done.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._erase, keys, False)
        cleaning = asyncio.create_task(self._clean(keys))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)

    async def close(self) -> None:
        """Finish what was begun, and close everything."""
        if self._cleaning:
            await asyncio.wait(self._cleaning)
        self._looker.shutdown()
        self._writer.shutdown()
        self._cleaner.shutdown()
        self._drop_reader()

    def _answer_all(self) -> None:
        asking, self._asking = self._asking, []
        found = self.read_many(list({key for keys, _ in asking for key in keys}))
        for _, future in asking:
            if not future.done():
                future.set_result(found)

    def _look(self, before: Catalog) -> Catalog:
        with open_store(self._url, read_only=True) as store:
            return read_catalog(store, self._now(), before)

    def _opened(self) -> Store:
        if self._reader is None:
            self._reader = open_store(self._url, read_only=True)
        return self._reader

    def _hold(self) -> Store:
        """The reader, in a snapshot that all who ask in this turn of the loop share.

        Their requests had all come before it: each sees whatever was answered before it was sent.
        """
        store = self._opened()
        store.hold()
        self._held = store
        asyncio.get_running_loop().call_soon(self._end_turn)
        return store

    def _end_turn(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            held.release()

    def _drop_reader(self) -> None:
        self._held = None
        if self._reader is not None:
            with suppress(StoreError):
                self._reader.close()
            self._reader = None

    def _add_control(self, control: Control) -> None:
        with open_store(self._url) as store:
            store.add_control(control)

    def _erase(self, keys: Sequence[str], clean: bool) -> None:
        with open_store(self._url) as store:
            store.erase(keys, clean=clean)

    async def _clean(self, keys: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._cleaner, self._erase, keys, True)
        except IncompleteErasureError:
            log.warning("erased, but the cache's files are not clean yet: the next sync goes on")
        except ServingError as error:
            log.warning("the cache's files could not be cleaned after an erasure: %s", error)

    def _fail(self, error: ServingError) -> None:
        """Stop reading until a look succeeds; say so once."""
        self.is_available = False
        self._drop_reader()
        self._on_trouble()
        if str(error) != self._trouble:
            log.error("defaults are served, the cache cannot be read: %s", error)
        self._trouble = str(error)
