"""The process under pressure: silent and slow clients, and an end with requests in flight."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from serving.api import connection, server
from serving.api.profiles import Profiles
from serving.api.settings import ApiLimits
from tests.serving.api.served import ANNA, Served, eventually, serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.3)
    with serving(tmp_path) as served, served.client("") as client:
        client.get("/healthz")
        with connected(served) as silent, connected(served, b"GET /healthz HTTP/1.1\r\n") as slow:
            eventually(lambda: is_closed(silent) and is_closed(slow))
        assert client.get("/healthz").status_code == 200


def get_profile(token: str, user_id: str, *more: str) -> bytes:
    lines = (
        f"GET /v1/users/{quote(user_id, safe='')}/profile HTTP/1.1",
        f"authorization: Bearer {token}",
        *more,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def answers(client: socket.socket, number: int) -> list[tuple[int, bytes]]:
    """Status and body of as many responses, in the order in which they came."""
    found = []
    for _ in range(number):
        # as long as its Content-Length says, so that the next one begins where this one ends
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        body = b""
        while len(body) < int(length[1]):
            body += client.recv(int(length[1]) - len(body))
        found.append((int(head.split()[1]), body))
    return found


def is_kept_open(client: socket.socket, asked: Sequence[bytes], idle_seconds: float) -> bool:
    """Ask with pauses; False where this machine was too slow for them."""
    last = time.monotonic()
    for each in asked:
        before, last = last, time.monotonic()
        with suppress(ConnectionError):
            client.settimeout(30)
            client.sendall(each)
            if client.recv(65536).startswith(b"HTTP/1.1 200"):
                before = last
        time.sleep(0.6)
        if is_closed(client):
            # the time runs anew with each answer, which came later than it was asked for
            assert time.monotonic() - before >= idle_seconds
            return False
    return True


@pytest.mark.parametrize("last", ["at once", "by the application"])
def test_a_connection_is_closed_some_time_after_its_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 2.0)
    with serving(tmp_path) as served, ExitStack() as opened:
        at_once = get_profile(served.token("read"), ANNA)
        by_application = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        asked = [at_once] * 3 + [at_once if last == "at once" else by_application]
        clients: list[socket.socket] = []

        def outlasts_pauses() -> bool:
            clients.append(opened.enter_context(connected(served)))
            return is_kept_open(clients[-1], asked, 2.0)

        eventually(outlasts_pauses)
        eventually(lambda: is_closed(clients[-1]))


def test_requests_sent_together_are_answered_in_their_order(shared: Served) -> None:
    token = shared.token("read")
    sent = [get_profile(token, user) for user in (ANNA, "nobody", ANNA)]
    # the third is the application's, the others are answered where they arrive
    sent.insert(2, head(token, 22) + b'{"user_ids":["anna"]}\n')
    sent.insert(3, get_profile("wrong", ANNA))
    with connected(shared, b"".join(sent)) as client:
        found = answers(client, len(sent))
    assert [status for status, _ in found] == [200, 200, 200, 401, 200]
    assert [b'"is_default":true' in body for _, body in found] == [False, True, True, False, False]
    assert b'"profiles"' in found[2][1]


@pytest.mark.parametrize(
    "more",
    [("content-length: 0",), ("x-forwarded-for: 10.0.0.1",), ("connection: close",)],
    ids=lambda more: more[0],
)
def test_a_profile_is_the_same_whoever_answers(shared: Served, more: tuple[str]) -> None:
    token = shared.token("read")
    with connected(shared, get_profile(token, ANNA)) as client:
        at_once = answers(client, 1)
        client.sendall(get_profile(token, ANNA, *more))
        assert answers(client, 1) == at_once
    assert at_once[0][0] == 200


def test_a_failure_to_answer_at_once_is_logged_and_the_application_asked(
    shared: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Profiles, "read", failing)
    with connected(shared, get_profile(shared.token("read"), ANNA)) as client:
        assert answers(client, 1)[0][0] == 200
    assert "could not be answered at once" in caplog.text


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
