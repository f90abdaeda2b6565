"""The command itself: started, sent to by real SDKs, ended in order and not in order."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from orchestration.ingest import load_inbox
from tests.orchestration.receiver.client import Client, eventually, request

pytestmark = pytest.mark.xdist_group("receiver")

KILLS = 5
SENDERS = 4


class Command:
    """A running `attune receive`."""

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        environment = {n: v for n, v in os.environ.items() if not n.startswith("ATTUNE_")}
        self.home = home
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", "receive", "--port", "0"]
            + ["--min-free-mb", "0", *arguments],
            env=environment | {"ATTUNE_HOME": str(home), "COLUMNS": "100"} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    @property
    def log(self) -> str:
        return "".join(self.said)

    def client(self) -> Client:
        """A client of it, once it listens and takes requests."""
        eventually(lambda: "the token is in" in self.log or self.process.poll() is not None)
        port = re.search(r"http://127\.0\.0\.1:(\d+)", self.log)
        assert port is not None, self.log
        token = (self.home / "receive.token").read_text().strip()
        return Client(int(port[1]), self.home, token)

    def end(self, number: int) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join()
        return code


@contextmanager
def command(home: Path, *arguments: str, **settings: str) -> Iterator[Command]:
    started = Command(home, *arguments, **settings)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)
        assert started.process.stdout is not None
        assert started.process.stdout.read() == ""
        started.process.stdout.close()


def lake_rows(home: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(
            f"select {columns} from read_parquet('{home}/lake/{table}/*/*.parquet') "
            "where event_name <> '' order by all"
        ).fetchall()


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
def test_what_the_sdk_sends_reaches_the_lake(
    tmp_path: Path, project_dir: Path, compression: Compression
) -> None:
    resource = Resource({"service.name": "assistant"})
    loggers, tracers = LoggerProvider(resource=resource), TracerProvider(resource=resource)
    with command(tmp_path) as receiver:
        client = receiver.client()
        base = f"http://127.0.0.1:{client.port}"
        headers = {"authorization": f"Bearer {client.token}"}
        loggers.add_log_record_processor(
            BatchLogRecordProcessor(
                OTLPLogExporter(f"{base}/v1/logs", headers=headers, compression=compression)
            )
        )
        tracers.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(f"{base}/v1/traces", headers=headers, compression=compression)
            )
        )
        with tracers.get_tracer("test").start_as_current_span("chat") as span:
            trace_id = format(span.get_span_context().trace_id, "032x")
            loggers.get_logger("test").emit(
                LogRecord(
                    event_name="assistant.feedback",
                    severity_number=SeverityNumber.INFO,
                    attributes={"feedback.score": 4, "user.id": "user-1"},
                )
            )
        assert loggers.force_flush()
        assert tracers.force_flush()
        loggers.shutdown()
        tracers.shutdown()
        assert receiver.end(signal.SIGTERM) == 0
        assert client.token not in receiver.log
    report = load_inbox(tmp_path, project_dir / "seeds" / "declarations")
    assert (report.records_in, report.rejected) == (2, {})
    columns = "event_name, trace_id, service_name"
    assert lake_rows(tmp_path, "log_records", columns) == [
        ("assistant.feedback", trace_id, "assistant")
    ]
    assert lake_rows(tmp_path, "spans", columns) == [("span", trace_id, "assistant")]


def numbers(lines: list[bytes]) -> Counter[int]:
    """How often each number stands in the lines, every one of which is complete."""
    found: Counter[int] = Counter()
    for line in lines:
        record = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        found[int(record["attributes"][0]["value"]["intValue"])] += 1
    return found


def test_what_was_acknowledged_survives_any_kill(tmp_path: Path, project_dir: Path) -> None:
    next_number = itertools.count()
    acknowledged: set[int] = set()
    chance = random.Random(7)

    def send(client: Client) -> None:
        while True:
            number = next(next_number)
            try:
                if client.post(request(number)).status == 200:
                    acknowledged.add(number)
            except (OSError, HTTPException):
                return

    def send_until_killed(wanted: int) -> None:
        with command(tmp_path) as receiver:
            client = receiver.client()
            senders = [threading.Thread(target=send, args=(client,)) for _ in range(SENDERS)]
            for each in senders:
                each.start()
            eventually(lambda: len(acknowledged) >= wanted)
            assert receiver.end(signal.SIGKILL) == -signal.SIGKILL
            for each in senders:
                each.join()

    for _ in range(KILLS):
        send_until_killed(len(acknowledged) + chance.randrange(1, 40))
    kept = numbers(Client(0, tmp_path).lines)
    assert acknowledged <= kept.keys()
    assert set(kept.values()) == {1}
    report = load_inbox(tmp_path, project_dir / "seeds" / "declarations")
    assert (report.records_in, report.rejected) == (kept.total(), {})


def test_ingest_loads_while_the_receiver_writes(tmp_path: Path, project_dir: Path) -> None:
    declarations = project_dir / "seeds" / "declarations"
    acknowledged: list[int] = []
    with command(tmp_path) as receiver:
        client = receiver.client()

        def send(first: int) -> None:
            for number in range(first, first + 20):
                assert client.post(request(number)).status == 200
                acknowledged.append(number)

        senders = [threading.Thread(target=send, args=(each * 20,)) for each in range(SENDERS)]
        for sender in senders:
            sender.start()
        loads = 0
        while any(each.is_alive() for each in senders):
            loads += len(load_inbox(tmp_path, declarations).files) > 0
        for sender in senders:
            sender.join()
    load_inbox(tmp_path, declarations)
    rows = lake_rows(tmp_path, "log_records", "cast(attributes['number'] as bigint)")
    assert loads > 0
    assert sorted(acknowledged) == sorted(number for (number,) in rows) == list(range(20 * SENDERS))


def test_a_start_removes_what_a_killed_receiver_left(tmp_path: Path) -> None:
    leftover = tmp_path / "receiving" / "receive-0.jsonl.tmp"
    leftover.parent.mkdir()
    leftover.write_bytes(b'{"resourceLogs":[')
    with command(tmp_path) as receiver:
        receiver.client()
        assert not leftover.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_while_clients_send(tmp_path: Path, number: signal.Signals) -> None:
    acknowledged: set[int] = set()
    with command(tmp_path) as receiver:
        client = receiver.client()

        def send() -> None:
            for each in itertools.count():
                try:
                    if client.post(request(each)).status == 200:
                        acknowledged.add(each)
                except (OSError, HTTPException):
                    return

        sender = threading.Thread(target=send)
        sender.start()
        eventually(lambda: len(acknowledged) > 20)
        assert receiver.end(number) == 0
        sender.join()
        assert f"{len(numbers(client.lines))} requests kept" in receiver.log
    assert acknowledged <= numbers(client.lines).keys()
    assert [each.name for each in (tmp_path / "receiving").iterdir()] == ["lock"]


def test_a_second_receiver_names_the_first(tmp_path: Path) -> None:
    with command(tmp_path) as first:
        first.client()
        with command(tmp_path) as second:
            assert second.process.wait(60) == 1
            second.end(signal.SIGTERM)
            assert f"process {first.process.pid} receives" in second.log


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with command(tmp_path / "one") as first:
        port = str(first.client().port)
        with command(tmp_path / "two", "--port", port) as second:
            assert second.process.wait(60) == 1
            second.end(signal.SIGTERM)
            assert f"127.0.0.1:{port}" in second.log
            assert "another --port" in second.log


def test_other_machines_are_let_in_with_a_warning(tmp_path: Path) -> None:
    settings = {"ATTUNE_RECEIVE_TOKEN": "given-by-the-environment"}
    with command(tmp_path, "--host", "0.0.0.0", **settings) as receiver:  # noqa: S104
        eventually(lambda: "unencrypted" in receiver.log)
        assert "the token is in ATTUNE_RECEIVE_TOKEN" in receiver.log
        assert settings["ATTUNE_RECEIVE_TOKEN"] not in receiver.log
