"""The cache as the API sees it: a reader that never waits for a store that is gone.

Users of the store, each with its own connection: the event loop reads a file, or one thread a
server; one thread looks once a second at what is declared and how old everything is; an outbox
writes controls and erasures, and has the files cleaned. As soon as one of the first two meets
trouble nobody reads any more, until a look succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from serving.api.catalog import Catalog, read_catalog
from serving.api.kept import keep_catalog, kept_catalog
from serving.api.outbox import NOTHING, Outbox
from serving.client import PROFILE_VIEW, freshness_fields, freshness_of
from serving.errors import ServingError, StoreError
from serving.store import Read, file_ids, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from serving.client import Freshness
    from serving.overlay import Declared
    from serving.store import FileIds, Store

NEVER_SYNCED = {"as_of": None, "synced_at": None, "is_stale": True}
# a server that is slower than this is as good as gone
READ_SECONDS = 0.5

log = logging.getLogger(__name__)


class Cache:
    """The serving cache of one API process."""

    def __init__(
        self,
        url: str,
        now: Callable[[], datetime],
        on_trouble: Callable[[], None],
        declared: Declared,
        catalog_file: Path | None = None,
    ) -> None:
        """Take what the API reads from, and what it answers before it could.

        Args:
            url: The cache's.
            now: The clock, naive UTC.
            on_trouble: Called whenever the cache fails.
            declared: Dimensions and purposes until the cache was read once.
            catalog_file: Where the catalog read last is kept.
        """
        self.url = url
        self._now = now
        self._on_trouble = on_trouble
        self._reader: Store | None = None
        # what the reader has open
        self._files: FileIds = ()
        # the reader while it holds the snapshot of this turn
        self._held: Store | None = None
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="cache-look")
        self.outbox = Outbox(url, self._follow)
        # a file answers in microseconds, on the event loop; a server may not, and has a thread
        self.is_remote = not url.startswith("sqlite:")
        self._server_thread = ThreadPoolExecutor(1, thread_name_prefix="cache-read")
        self._is_reader_old = False
        self._answering: asyncio.Task[None] | None = None
        self._asking: list[tuple[Sequence[str], asyncio.Future[dict[str, Read] | None]]] = []
        self._trouble = ""
        self._catalog_file = catalog_file
        kept = None if catalog_file is None else kept_catalog(catalog_file)
        self.catalog = kept or Catalog(declared=declared)
        self.is_available = False
        # view -> how old it is; what was never synced is not there
        self._ages: dict[str, Freshness] = {}
        # what was said to be stale
        self._stale: set[str] = set()
        # whether the profiles are older than declared, or were never synced
        self.is_stale = True

    @property
    def freshness(self) -> Freshness | None:
        """How old the profiles are; None before the first sync."""
        return self.age_of(PROFILE_VIEW)

    def age_of(self, view: str) -> Freshness | None:
        """How old a view is; None before the first sync."""
        return self._ages.get(view)

    def age_fields(self, view: str) -> dict[str, Any]:
        """How old a view is, as JSON has it."""
        age = self.age_of(view)
        return dict(NEVER_SYNCED) if age is None else freshness_fields(age)

    def judge(self) -> None:
        """Say how old everything is now: by the clock alone, whatever became of the last look."""
        now = self._now()
        self._ages = {view: freshness_of(meta, now) for view, meta in self.catalog.metas.items()}
        self.is_stale = self.freshness is None or self.freshness.is_stale
        before, stale = self._stale, {view for view, age in self._ages.items() if age.is_stale}
        if self.is_stale:
            stale.add(PROFILE_VIEW)
        self._stale = stale
        fresh = (before - stale) & self._ages.keys()
        for word, views in (("stale", stale - before), ("fresh again", fresh)):
            ages = [_age_text(view, self.age_of(view)) for view in sorted(views)]
            if ages:
                log.warning("%s: %s", word, ", ".join(ages))

    async def look(self) -> None:
        """Read catalog and metas anew, and say whether the cache can be read."""
        loop = asyncio.get_running_loop()
        before = self.catalog
        try:
            self.catalog, files = await loop.run_in_executor(self._looker, self._look, before)
        except ServingError as error:
            self._fail(error)
            return
        self.judge()
        profiles, earlier = self.catalog.metas.get(PROFILE_VIEW), before.metas.get(PROFILE_VIEW)
        if profiles is None or earlier is None or profiles.synced_at != earlier.synced_at:
            self._drop_reader()
        self._follow(files)
        if self._trouble:
            log.warning("the cache can be read again")
        self._trouble, self.is_available = "", True

    def read(self, key: str) -> Read | None:
        """Return what is known under a key now, or None if the cache cannot be read."""
        if not self.is_available:
            return None
        try:
            found = (self._held or self._hold()).read(PROFILE_VIEW, key)
        except ServingError as error:
            self._fail(error)
            return None
        if not self.outbox.waiting:
            return found
        # nothing known is None to the outbox: a word is laid where its user has something
        return self.outbox.laid_over(key, found if any(found) else None) or NOTHING

    def read_many(self, keys: Sequence[str]) -> dict[str, Read] | None:
        """Return what is known under the keys, or None if the cache cannot be read."""
        if not self.is_available:
            return None
        try:
            found = self._opened().read_many(PROFILE_VIEW, keys)
        except ServingError as error:
            self._fail(error)
            return None
        return self.outbox.laid_over_all(keys, found) if self.outbox.waiting else found

    async def read_together(self, keys: Sequence[str]) -> dict[str, Read] | None:
        """Return what is known under the keys; a server is asked once for all who ask meanwhile.

        Its answer is awaited, so that a slow one delays nobody who does not need it.
        """
        if not self.is_remote:
            return self.read_many(keys)
        if not self.is_available:
            return None
        found: asyncio.Future[dict[str, Read] | None] = asyncio.get_running_loop().create_future()
        self._asking.append((keys, found))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        return await found

    async def close(self) -> None:
        """Finish what was begun, and close everything."""
        await self.outbox.close()
        self._looker.shutdown()
        self._server_thread.shutdown()
        self._close_reader()

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asking:
            asking, self._asking = self._asking, []
            wanted = list({key for keys, _ in asking for key in keys})
            found = None
            try:
                reading = loop.run_in_executor(self._server_thread, self._read_server, wanted)
                found = await asyncio.wait_for(reading, READ_SECONDS)
                if self.outbox.waiting:
                    found = self.outbox.laid_over_all(wanted, found)
            except TimeoutError:
                self._fail(StoreError(f"the server took longer than {READ_SECONDS:g} seconds"))
            except ServingError as error:
                self._fail(error)
            finally:
                for _, future in asking:
                    if not future.done():
                        future.set_result(found)

    def _read_server(self, keys: Sequence[str]) -> dict[str, Read]:
        """Read from a server, in the one thread that has the connection."""
        if self._is_reader_old:
            self._close_reader()
            self._is_reader_old = False
        return self._opened().read_many(PROFILE_VIEW, keys)

    def _look(self, before: Catalog) -> tuple[Catalog, FileIds]:
        files = file_ids(self.url)
        with open_store(self.url, read_only=True) as store:
            found = read_catalog(store, before)
        if self._catalog_file is not None and found.rows is not before.rows:
            keep_catalog(self._catalog_file, found)
        return found, files

    def _opened(self) -> Store:
        if self._reader is None:
            # before they are opened: others that take their place meanwhile are noticed
            self._files = file_ids(self.url)
            self._reader = open_store(self.url, read_only=True)
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

    def _follow(self, files: FileIds) -> None:
        """Read no longer what others have taken the place of, given what is there now."""
        if files != self._files:
            self._drop_reader()

    def _drop_reader(self) -> None:
        self._held = None
        if self.is_remote:
            self._is_reader_old = True
        else:
            self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            with suppress(StoreError):
                self._reader.close()
            self._reader = None

    def _fail(self, error: ServingError) -> None:
        """Stop reading until a look succeeds; say so once."""
        self.is_available = False
        self._drop_reader()
        self._on_trouble()
        if str(error) != self._trouble:
            log.error("defaults are served, the cache cannot be read: %s", error)
        self._trouble = str(error)


def _age_text(view: str, age: Freshness | None) -> str:
    if age is None:
        return f"{view} (the cache holds none: it was never synced, or was emptied)"
    return f"{view} ({age.age_hours:.1f} hours, {age.max_age_hours:g} allowed)"
