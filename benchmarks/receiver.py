"""Requests a second of the receiver against a route that reads the body, answers, and keeps nothing.

Run `python -m benchmarks.receiver`. Both answer on the same server software and machine, in turns,
with the client in a process of its own; what is printed last is the ratio, which travels between
machines where the rates do not.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from orchestration.receiver.app import EVERYTHING, JSON, PROTOBUF, Receiver
from orchestration.receiver.config import Limits, ReceiverConfig
from orchestration.receiver.decode import LOGS, line_of_protobuf
from orchestration.receiver.inbox import prepared_folders

TOKEN = "0123456789abcdef"  # noqa: S105 (of this benchmark)
CONNECTIONS = 128
ROUNDS = 5
SECONDS = 2.0


@dataclass(frozen=True)
class Load:
    """Requests of one kind: so many records each, in a content type."""

    name: str
    content_type: str
    body: bytes
    records: int

    @property
    def message(self) -> bytes:
        """The HTTP request as it goes over the wire."""
        head = (
            f"POST {LOGS.path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n"
            f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def export_request(records: int) -> bytes:
    """Log records with ten attributes each, as protobuf."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(records):
        record = scope.log_records.add(
            time_unix_nano=1_767_225_600_000_000_000 + number,
            event_name="assistant.suggestion.shown",
            trace_id=number.to_bytes(16),
        )
        for key in range(10):
            pair = record.attributes.add(key=f"suggestion.attribute.{key}")
            pair.value.string_value = f"value {key} of {number}"
    return bytes(request.SerializeToString())


def loads() -> list[Load]:
    """One record as JSON, and a batch as an SDK sends it."""
    one, batch = export_request(1), export_request(512)
    return [
        Load("1 record, JSON", JSON, line_of_protobuf(one, LOGS), 1),
        Load("512 records, protobuf", PROTOBUF, batch, 512),
    ]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer as the receiver does."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        continue
    content_type = dict(scope["headers"])[b"content-type"]
    body = EVERYTHING[content_type.decode()]
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(app: Any, listener: socket.socket) -> None:
    """Serve as the receiver does."""
    settings = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none"
    )
    uvicorn.Server(settings).run(sockets=[listener])


def serve_receiver(home: Path, listener: socket.socket) -> None:
    """Serve the receiver with a disk of its own to write to, and no end of room."""
    config = ReceiverConfig(
        host="127.0.0.1",
        port=0,
        token=TOKEN,
        token_source="",
        inbox=home / "inbox",
        staging=home / "receiving",
        limits=Limits(inbox_bytes=1 << 62, free_bytes=0),
    )
    with prepared_folders(config.inbox, config.staging):
        serve(Receiver(config).app(), listener)


@contextmanager
def started(target: Any, argument: Any) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=target, args=(argument, listener)
        )
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


async def requests_per_second(port: int, load: Load) -> float:
    """Requests answered with 200 a second, over connections that stay open."""
    message = load.message
    answered = 0
    end = time.perf_counter() + SECONDS

    async def send() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
            answered += 1
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    return answered / (time.perf_counter() - begin)


def main() -> None:
    """Measure both servers in turns, and print what they did."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started(serve, bare) as bare_port,
        started(serve_receiver, Path(folder)) as receiver_port,
    ):
        for load in loads():
            rates = {bare_port: [0.0], receiver_port: [0.0]}
            for port in [bare_port, receiver_port] * ROUNDS:
                rates[port].append(asyncio.run(requests_per_second(port, load)))
            bare_rate, rate = (statistics.median(each[1:]) for each in rates.values())
            sys.stdout.write(
                orjson.dumps(
                    {
                        "load": load.name,
                        "bare_requests_per_second": round(bare_rate),
                        "requests_per_second": round(rate),
                        "records_per_second": round(rate * load.records),
                        "bytes_per_record": round(len(load.body) / load.records),
                        "ratio": round(rate / bare_rate, 2),
                    }
                ).decode()
                + "\n"
            )


if __name__ == "__main__":
    main()
