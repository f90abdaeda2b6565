"""What requests of one turn of the event loop share, and what the next turn sees."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from serving.api import outbox
from serving.api.cache import Cache
from serving.api.outbox import Outbox
from serving.errors import StoreError
from serving.overlay import Declared
from serving.store import Control, Read, open_store
from tests.serving.api.served import ANNA, AS_OF, NOW, fill, stable, world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from serving.store import Store

WORD = json.dumps({"kind": "preference_cleared", "dimension": None}).encode()


def test_a_turn_reads_one_state_and_the_next_turn_what_is_there_then(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    fill(tmp_path, url, world(), AS_OF)

    async def read() -> None:
        cache = Cache(url, lambda: NOW, lambda: None, Declared({}, {}))
        await cache.look()
        before = cache.read(stable(ANNA))
        assert before is not None
        assert before.controls == ()
        with open_store(url) as store:
            store.add_control(Control(stable(ANNA), "event", WORD))
        assert cache.read(stable(ANNA)) == before
        await asyncio.sleep(0)
        after = cache.read(stable(ANNA))
        assert after is not None
        assert after.controls == (WORD,)
        await cache.close()

    asyncio.run(read())


def replace_files(folder: Path) -> None:
    """Put copies in the place of the cache's files, as who restores them does."""
    for path in sorted(folder.glob("cache.sqlite*")):
        if path.name.endswith(("-wal", "-shm")):
            path.unlink()
        else:
            copied = path.with_name("copied")
            shutil.copyfile(path, copied)
            copied.rename(path)


def delete_files(folder: Path) -> None:
    for path in folder.glob("cache.sqlite*"):
        path.unlink()


def controls_after(tmp_path: Path, change: Callable[[Cache], Awaitable[None]]) -> tuple[bytes, ...]:
    """What a cache that was being read gives as a user's word after a change."""
    url = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    fill(tmp_path, url, world(), AS_OF)

    async def read() -> tuple[bytes, ...]:
        cache = Cache(url, lambda: NOW, lambda: None, Declared({}, {}))
        await cache.look()
        assert cache.read(stable(ANNA)) is not None
        await asyncio.sleep(0)
        await change(cache)
        found = cache.read(stable(ANNA))
        await cache.close()
        assert found is not None
        return found.controls

    return asyncio.run(read())


@pytest.mark.parametrize("lose", [replace_files, delete_files])
def test_what_is_said_is_read_at_once_although_other_files_took_the_place_of_the_caches(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    async def change(cache: Cache) -> None:
        lose(tmp_path)
        await cache.outbox.put([stable(ANNA)], "event", WORD)

    assert controls_after(tmp_path, change) == (WORD,)


def test_a_look_notices_other_files_of_the_same_sync(tmp_path: Path) -> None:
    async def change(cache: Cache) -> None:
        replace_files(tmp_path)
        with open_store(cache.url) as store:
            store.add_control(Control(stable(ANNA), "event", WORD))
        await cache.look()

    assert controls_after(tmp_path, change) == (WORD,)


def test_a_read_looks_at_the_words_of_its_own_user_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def locked(_: str) -> Store:
        raise StoreError("locked")

    monkeypatch.setattr(outbox, "open_store", locked)
    monkeypatch.setattr(outbox, "WAIT_SECONDS", 0.01)

    async def read() -> None:
        box = Outbox("sqlite:////nowhere", lambda _: None)
        users = [(f"new-{number}", f"old-{number}") for number in range(5000)]
        putting = [box.put(keys, "event", keys[1].encode()) for keys in users]
        await asyncio.gather(*putting, return_exceptions=True)
        assert len(box.waiting) == 5000
        started = time.perf_counter()
        for new, old in users:
            assert box.laid_over(new, None) is None
            assert box.laid_over(old, None) == Read(None, (old.encode(),))
            assert box.laid_over(new, Read(None, (b"1",))) == Read(None, (b"1", old.encode()))
        # going through all that waits takes some hundred times as long
        assert time.perf_counter() - started < 2
        await box.close()

    asyncio.run(read())
