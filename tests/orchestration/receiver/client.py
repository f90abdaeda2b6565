"""A receiver that listens, and a client that says exactly what it sends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from google.rpc.status_pb2 import Status

from orchestration.receiver.app import Receiver
from orchestration.receiver.config import Limits, ReceiverConfig
from orchestration.receiver.inbox import prepared_folders

TOKEN = "a-token-of-the-tests-0123456789"
JSON = "application/json"
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Answer:
    """What the receiver said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Any:
        """The google.rpc.Status, read in the content type that the answer declares."""
        if self.headers["content-type"] == PROTOBUF:
            status = Status.FromString(self.body)
            return {"code": status.code, "message": status.message}
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Sends to a port of this machine, each request on a connection of its own."""

    port: int
    home: Path
    token: str = TOKEN

    def post(self, body: Any, path: str = "/v1/logs", **headers: str) -> Answer:
        """POST a body (bytes, or an iterator of them for chunks); headers with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"content-type": JSON, "authorization": f"Bearer {self.token}"} | named
        return self.request("POST", path, body, {n: v for n, v in named.items() if v})

    def request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    @property
    def files(self) -> list[Path]:
        """The files of the inbox, oldest first."""
        return sorted((self.home / "inbox").iterdir())

    @property
    def lines(self) -> list[bytes]:
        """Every line of the inbox, each of which ends."""
        content = b"".join(each.read_bytes() for each in self.files)
        assert not content or content.endswith(b"\n")
        return content.splitlines()


def request(number: int = 0) -> bytes:
    """A small export request of logs that carries a number."""
    record = {
        "timeUnixNano": "1767225600000000000",
        "eventName": "assistant.feedback",
        "attributes": [{"key": "number", "value": {"intValue": str(number)}}],
    }
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what has to come, and fail if it does not."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


@contextmanager
def receiving(home: Path, **limits: Any) -> Iterator[Client]:
    """A receiver on a free port of this process."""
    config = ReceiverConfig(
        host="127.0.0.1",
        port=0,
        token=TOKEN,
        token_source="here",
        inbox=home / "inbox",
        staging=home / "receiving",
        limits=Limits(**{"free_bytes": 0} | limits),
    )
    with (
        prepared_folders(config.inbox, config.staging),
        socket.create_server((config.host, config.port)) as listener,
    ):
        settings = uvicorn.Config(Receiver(config).app(), log_config=None, ws="none", lifespan="on")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started or not thread.is_alive())
            yield Client(listener.getsockname()[1], home)
        finally:
            server.should_exit = True
            thread.join()
