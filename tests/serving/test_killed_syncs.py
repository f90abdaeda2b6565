"""Syncs that die at random moments: what is read is old or new and whole, and the next one mends."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from serving.redis_store import RedisStore
from serving.store import open_store
from serving.sync import sync
from tests.serving.conftest import ROW_HASH

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

    from tests.serving.conftest import Workspace

VIEW = "hot_user_profiles"
KILLS = 50
ROWS = 5_000
# a sync that ends before it is killed is none of them
MOST_SYNCS = 2 * KILLS
# from the moment it opens the warehouse, such a sync takes at least so long
SHORTEST_WAIT_SECONDS = 0.05


@pytest.fixture(scope="module", params=["sqlite", "valkey"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sync_to_the_end(warehouse: Path, url: str, manifest: Path, ledger: Path, ready: Event) -> None:
    """Run in a process of its own, which is killed."""
    with (
        duckdb.connect(str(warehouse), read_only=True) as connection,
        open_store(url) as store,
    ):
        ready.set()
        sync(
            connection,
            store,
            manifest,
            as_of=datetime(2026, 1, 1),  # noqa: DTZ001 (naive UTC is the project's form)
            run_id="killed",
            ledger=ledger,
            allow_removal=True,
        )


class Reader(threading.Thread):
    """Reads all the time; each value must be of a state that may be served, whole."""

    def __init__(self, url: str) -> None:
        super().__init__()
        # the newest are last; a reader of a server may use the epoch that it knows for a second
        self.states: tuple[dict[str, str], ...] = ({},)
        self.reads = 0
        self.problems: list[str] = []
        self._url = url
        self._stop_reading = threading.Event()

    def run(self) -> None:
        rng = random.Random(1)
        with open_store(self._url, read_only=True) as store:
            while not self._stop_reading.wait(0.001):
                user = f"user{rng.randrange(len(self.states) * ROWS)}"
                before = self.states
                entry = store.read(VIEW, user).entry
                value = None if entry is None else entry.payload.decode()
                if value not in {state.get(user) for state in (*before, *self.states)}:
                    self.problems.append(f"{user}: {value}")
                self.reads += value is not None

    def stop(self) -> None:
        self._stop_reading.set()
        self.join()


def test_a_killed_sync_leaves_whole_values_and_the_next_one_finishes(
    make_workspace: Callable[[], Workspace], store_kind: str, request: pytest.FixtureRequest
) -> None:
    workspace = make_workspace()
    manifest = workspace.folder / "manifest.json"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    rng = random.Random(20260101)
    killed = 0
    duration = SHORTEST_WAIT_SECONDS
    old: dict[str, str] = {}
    reader = Reader(workspace.url)
    request.addfinalizer(reader.stop)
    reader.start()
    for number in range(MOST_SYNCS):
        if killed == KILLS:
            break
        if number % 5 == 4:
            described = workspace.manifest["nodes"][f"model.attune.{VIEW}"]
            described["checksum"]["checksum"] = str(number)
        manifest.write_text(json.dumps(workspace.manifest))
        first = number * ROWS // 10
        new = {
            f"user{user}": f"{number if user % 3 else 'kept'}-{user} " * 20
            for user in range(first, first + ROWS)
        }
        reader.states = (*reader.states[-2:], new)
        with duckdb.connect(str(workspace.warehouse_path)) as connection:
            connection.execute("create schema if not exists serving")
            connection.execute(
                "create or replace table serving.hot_user_profiles as "
                "select 'user' || i as user_id, repeat("
                "case when i % 3 = 0 then 'kept' else $1 end || '-' || i || ' ', 20) as payload, "
                "md5(payload) as content_hash, "
                f"{ROW_HASH.format('user_id', 'content_hash')} as row_hash "
                "from range($2, $3) as r(i)",
                [str(number), first, first + ROWS],
            )
        ready = processes.Event()
        process = processes.Process(
            target=sync_to_the_end,
            args=(workspace.warehouse_path, workspace.url, manifest, workspace.ledger, ready),
        )
        process.start()
        assert ready.wait(60)
        time.sleep(rng.uniform(0, duration))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        left = workspace.served()
        if store_kind == "sqlite":
            assert left in (old, new)
        else:
            # value by value: Redis has no transaction over all users
            assert all(left[user] in (old.get(user), new.get(user)) for user in left)
            assert left.keys() >= old.keys() & new.keys()
            assert isinstance(workspace.store, RedisStore)
            # a dead run holds its lease for a minute: here it has run out
            workspace.store._client.hset(
                f"{workspace.store._prefix}:meta:{VIEW}", "writing_until", "0"
            )
        started = time.monotonic()
        workspace.sync(allow_removal=True)
        # moments of the whole sync, on a machine however busy
        duration = max(SHORTEST_WAIT_SECONDS, (duration + time.monotonic() - started) / 2)
        assert workspace.verify().ok
        assert workspace.served() == new
        old = new
    reader.stop()
    assert reader.problems == []
    assert reader.reads > KILLS
    assert killed == KILLS
