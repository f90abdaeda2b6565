"""The process under pressure: silent and slow clients, and an end with requests in flight."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from serving.api import server
from serving.api.settings import ApiLimits
from tests.serving.api.served import ANNA, Served, eventually, serving

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def connected(served: Served, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    client.sendall(sent)
    return client


def head(token: str, length: int) -> bytes:
    return (
        f"POST /v1/profiles HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
        f"content-length: {length}\r\n\r\n"
    ).encode()


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_silent_connections_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 20)
    body = b'{"user_ids":["nobody"]}'
    with serving(tmp_path) as served, served.client() as asking, ExitStack() as opened:
        token = served.token("read")
        busy = opened.enter_context(connected(served, head(token, len(body)) + body[:5]))
        asking.get("/healthz")
        silent = [opened.enter_context(connected(served)) for _ in range(60)]
        with served.client("") as late:
            assert late.get("/healthz").status_code == 200
        assert asking.get("/healthz").status_code == 200
        eventually(lambda: sum(map(is_closed, silent)) > 40)
        # who has something in progress is not closed for others
        busy.sendall(body[5:])
        assert busy.recv(12) == b"HTTP/1.1 200"


def test_a_connection_without_a_header_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with serving(tmp_path) as served, served.client("") as client:
        client.get("/healthz")
        with connected(served) as silent, connected(served, b"GET /healthz HTTP/1.1\r\n") as slow:
            eventually(lambda: is_closed(silent) and is_closed(slow))
        assert client.get("/healthz").status_code == 200


def test_a_slow_body_is_refused(tmp_path: Path) -> None:
    with (
        serving(tmp_path, limits=ApiLimits(body_seconds=0.2)) as served,
        connected(served, head(served.token("read"), 30) + b'{"user_ids":') as client,
    ):
        assert client.recv(12) == b"HTTP/1.1 408"


def test_a_request_in_flight_is_answered_before_the_end(tmp_path: Path) -> None:
    body = f'{{"user_ids":["{ANNA}"]}}'.encode()
    with ExitStack() as running:
        served = running.enter_context(serving(tmp_path))
        token = served.token("read")
        client = running.enter_context(connected(served, head(token, len(body)) + body[:5]))
        with served.client("") as other:
            other.get("/healthz")
        served.stop()
        time.sleep(0.3)
        client.sendall(body[5:])
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"is_default":false' in answer
