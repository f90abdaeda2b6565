"""What users said, on its way from the inbox into the cache: in order, and again until it is there.

Their word is durable already, so a cache that is locked or gone delays it and never loses it. Until
the cache has it, this process lays it over whatever it reads. A process that ends before that leaves
it to the next build.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.client import PROFILE_VIEW
from serving.errors import ErasedError, IncompleteErasureError, ServingError, StoreError
from serving.store import Control, Read, file_ids, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.store import FileIds

# how long somebody who said something waits for the cache, and until the cache is tried again
WAIT_SECONDS = 5.0
RETRY_SECONDS = 1.0
# more than this, and what is asked to be recorded meanwhile, is not taken: it is held in memory
MOST_WAITING = 10_000
NOTHING = Read(None)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What somebody said.

    Attributes:
        keys: The user's, newest first; the last one is stable.
        event_id: Of its event in the inbox.
        payload: As `serving.store.Control` has it; None: forget the user.
        told: Done when the cache has it, or has failed once.
    """

    keys: Sequence[str]
    event_id: str
    payload: bytes | None
    told: asyncio.Future[None]


class Outbox:
    """Writes to the cache of one API process."""

    def __init__(self, url: str, on_written: Callable[[FileIds], None]) -> None:
        """Take where to write.

        Args:
            url: The cache's.
            on_written: Called with the files that a word was written to, before that is told.
        """
        self._url = url
        self._on_written = on_written
        # what the cache has not got yet, oldest first
        self.waiting: deque[Word] = deque()
        # the same by key
        self._waiting_of: dict[str, deque[Word]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        # why the cache was not written the last time
        self._failure = ""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cache-write")
        # cleaning takes long: nobody's word waits for it
        self._cleaner = ThreadPoolExecutor(1, thread_name_prefix="cache-clean")
        self._cleaning: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether too much waits for anything more to be said."""
        return len(self.waiting) >= MOST_WAITING

    async def put(self, keys: Sequence[str], event_id: str, payload: bytes | None) -> None:
        """Write what was said, after all that was said before.

        Raises:
            ErasedError: the user was erased.
            StoreError: it is not written yet; it will be as soon as the cache takes it.
        """
        word = Word(keys, event_id, payload, asyncio.get_running_loop().create_future())
        self.waiting.append(word)
        for key in keys:
            self._waiting_of.setdefault(key, deque()).append(word)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait_for(word.told, WAIT_SECONDS)
        except TimeoutError as error:
            raise StoreError(f"the cache took longer than {WAIT_SECONDS:g} seconds") from error

    def laid_over(self, key: str, read: Read | None) -> Read | None:
        """Lay what waits over what was read under a key; None: nothing was, nor does anything wait."""
        words = self._waiting_of.get(key, ())
        if any(word.payload is None for word in words):
            return Read(None, is_erased=True)
        # the cache will take it under the key that has something, or under the stable one
        said = [
            word.payload
            for word in words
            if word.payload is not None and (read is not None or key == word.keys[-1])
        ]
        if not said or (read is not None and read.is_erased):
            return read
        read = read or NOTHING
        return read._replace(controls=tuple(dict.fromkeys((*read.controls, *said))))

    def laid_over_all(self, keys: Sequence[str], found: Mapping[str, Read]) -> dict[str, Read]:
        """Lay what waits over what was read under many keys."""
        laid = {key: self.laid_over(key, found.get(key)) for key in keys}
        return {key: read for key, read in laid.items() if read is not None}

    async def close(self) -> None:
        """Try once more what waits, finish what was begun, and end the threads."""
        self._ending.set()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if self.waiting:
            log.error(
                "%d statements of users are in the inbox but not in the cache: they are in force "
                "from the next build",
                len(self.waiting),
            )
        if self._cleaning:
            await asyncio.wait(self._cleaning)
        self._writer.shutdown()
        self._cleaner.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self.waiting:
            word = self.waiting[0]
            is_last = self._ending.is_set()
            try:
                files = await loop.run_in_executor(self._writer, self._write_one, word)
            except ErasedError as error:
                self._forget_first()
                _tell(word, error)
            except Exception as error:  # noqa: BLE001 (whatever it is, what was said is written later)
                self._say_failed(error)
                known = error if isinstance(error, StoreError) else StoreError(repr(error))
                for each in self.waiting:
                    _tell(each, known)
                if is_last:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), RETRY_SECONDS)
            else:
                self._forget_first()
                self._on_written(files)
                _tell(word, None)
                if word.payload is None:
                    self._clean_soon(word.keys)
                if self._failure and not self.waiting:
                    log.warning("the cache can be written again and holds what users said")
                    self._failure = ""

    def _forget_first(self) -> None:
        word = self.waiting.popleft()
        for key in word.keys:
            words = self._waiting_of[key]
            words.popleft()
            if not words:
                del self._waiting_of[key]

    def _say_failed(self, error: Exception) -> None:
        """Say once that the cache cannot be written, and at length where nobody foresaw why."""
        text = repr(error)
        if text != self._failure:
            shown = None if isinstance(error, ServingError) else error
            log.error(
                "the cache cannot be written, what users say waits: %s", error, exc_info=shown
            )
        self._failure = text

    def _write_one(self, word: Word) -> FileIds:
        with open_store(self._url) as store:
            if word.payload is None:
                store.erase(word.keys, clean=False)
            else:
                found = store.read_many(PROFILE_VIEW, word.keys)
                key = next((key for key in word.keys if key in found), word.keys[-1])
                store.add_control(Control(key, word.event_id, word.payload))
            return file_ids(self._url)

    def _clean_soon(self, keys: Sequence[str]) -> None:
        cleaning = asyncio.create_task(self._clean(keys))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)

    async def _clean(self, keys: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._cleaner, self._clean_files, keys)
        except IncompleteErasureError:
            log.warning("erased, but the cache's files are not clean yet: the next sync goes on")
        except ServingError as error:
            log.warning("the cache's files could not be cleaned after an erasure: %s", error)

    def _clean_files(self, keys: Sequence[str]) -> None:
        with open_store(self._url) as store:
            store.erase(keys, clean=True)


def _tell(word: Word, error: ServingError | None) -> None:
    if word.told.done():
        return
    if error is None:
        word.told.set_result(None)
    else:
        word.told.set_exception(error)
