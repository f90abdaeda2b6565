"""What the receiver answers, and what it keeps."""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import logging
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from orchestration.receiver.inbox import InboxWriter
from tests.orchestration.receiver.client import (
    JSON,
    PROTOBUF,
    TOKEN,
    Client,
    eventually,
    receiving,
    request,
)

pytestmark = pytest.mark.xdist_group("receiver")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A receiver for tests that leave nothing behind, in the inbox or in flight."""
    with receiving(tmp_path_factory.mktemp("receiver"), sent_bytes=1000, unpacked_bytes=4000) as it:
        yield it
        assert it.files == []


class Gate:
    """Holds every fsync until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._wait)

    def _wait(self, descriptor: int) -> None:
        self.reached.set()
        assert self._open.wait(30)
        self._fsync(descriptor)

    def open(self) -> None:
        self._open.set()


def test_json_is_kept_as_it_came(tmp_path: Path) -> None:
    with receiving(tmp_path) as client:
        answer = client.post(request(1))
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["content-type"] == JSON
        assert client.lines == [request(1)]


def test_protobuf_is_kept_as_json(tmp_path: Path) -> None:
    logs, spans = ExportLogsServiceRequest(), ExportTraceServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=bytes(range(16)))
    spans.resource_spans.add().scope_spans.add().spans.add(span_id=bytes(range(8)))
    with receiving(tmp_path) as client:
        first = client.post(logs.SerializeToString(), content_type=PROTOBUF)
        packed = gzip.compress(spans.SerializeToString())
        second = client.post(packed, "/v1/traces", content_type=PROTOBUF, content_encoding="gzip")
        lines = [json.loads(each) for each in client.lines]
    assert (first.status, second.status) == (200, 200)
    assert first.headers["content-type"] == second.headers["content-type"] == PROTOBUF
    assert ExportLogsServiceResponse.FromString(first.body) == ExportLogsServiceResponse()
    assert ExportTraceServiceResponse.FromString(second.body) == ExportTraceServiceResponse()
    record = lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert record == {"traceId": "000102030405060708090a0b0c0d0e0f"}
    span = lines[1]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span == {"spanId": "0001020304050607"}


def test_a_body_of_many_chunks_and_megabytes_is_kept(tmp_path: Path) -> None:
    body = json.dumps({"resourceLogs": [{"text": "x" * 3_000_000}]}).encode()
    chunks = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    with receiving(tmp_path) as client:
        assert client.post(chunks).status == 200
        assert client.lines == [body]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with receiving(tmp_path) as client:
        assert client.post(request()).status == 200
        assert [stat.S_IMODE(each.stat().st_mode) for each in client.files] == [0o600]
    assert stat.S_IMODE((tmp_path / "receiving").stat().st_mode) == 0o700


def test_a_request_without_records_leaves_no_file(shared: Client) -> None:
    assert shared.post(b"{}").status == 200
    assert shared.post(b"", content_type=PROTOBUF).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_another_token_is_refused(shared: Client, authorization: str) -> None:
    answer = shared.post(request(), authorization=authorization)
    assert (answer.status, answer.error["code"]) == (401, 16)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.body.decode()


def test_the_scheme_may_be_in_lower_case(shared: Client) -> None:
    assert shared.post(b"{}", authorization=f"bearer {TOKEN}").status == 200


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-ndjson"])
def test_another_content_type_is_refused(shared: Client, content_type: str) -> None:
    answer = shared.post(request(), content_type=content_type)
    assert (answer.status, answer.error["code"]) == (415, 3)
    assert answer.headers["content-type"] == JSON


def test_a_content_type_may_have_parameters(shared: Client) -> None:
    assert shared.post(b"{}", content_type="Application/JSON; charset=utf-8").status == 200


@pytest.mark.parametrize("encoding", ["deflate", "zstd", "gzip, gzip"])
def test_another_encoding_is_refused(shared: Client, encoding: str) -> None:
    answer = shared.post(request(), content_encoding=encoding)
    assert answer.status == 415
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_errors_come_in_the_content_type_of_the_request(shared: Client, content_type: str) -> None:
    answer = shared.post(b"\xff", content_type=content_type)
    assert (answer.status, answer.error["code"]) == (400, 3)
    assert answer.headers["content-type"] == content_type
    assert "retry-after" not in answer.headers


def test_spans_sent_to_the_path_of_logs_are_malformed(shared: Client) -> None:
    answer = shared.post(b'{"resourceSpans":[{}]}')
    assert answer.status == 400
    assert "resourceLogs" in answer.error["message"]


@pytest.mark.parametrize("body", [b"x" * 1001, gzip.compress(bytes(400_000), mtime=0)])
def test_a_large_body_is_refused_packed_or_unpacked(shared: Client, body: bytes) -> None:
    encoding = "gzip" if body.startswith(b"\x1f") else ""
    answer = shared.post(body, content_encoding=encoding)
    assert answer.status == 413
    assert "smaller batches" in answer.error["message"]


def test_a_body_far_beyond_the_limit_is_answered_too(shared: Client) -> None:
    assert shared.post(bytes(20_000_000)).status == 413
    assert shared.post(iter([bytes(20_000_000)])).status == 413


def test_metrics_are_not_kept_and_that_is_said(shared: Client) -> None:
    answer = shared.post(b"{}", "/v1/metrics")
    assert (answer.status, answer.error["code"]) == (404, 5)
    assert "OTEL_METRICS_EXPORTER=none" in answer.error["message"]


def test_other_paths_and_methods_are_named(shared: Client) -> None:
    answer = shared.post(b"{}", "/v1/other")
    assert (answer.status, answer.error["code"]) == (404, 5)
    answer = shared.request("GET", "/v1/logs", None, {})
    assert (answer.status, answer.error["code"]) == (405, 12)
    assert answer.headers["allow"] == "POST"


def test_health_needs_no_token(shared: Client) -> None:
    answer = shared.request("GET", "/healthz", None, {})
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})


def test_nothing_is_answered_before_it_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def recorded_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("sync folder" if is_folder else "sync file")
        fsync(descriptor)

    def recorded_rename(source: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(source, target)

    with receiving(tmp_path) as client:
        monkeypatch.setattr(os, "fsync", recorded_fsync)
        monkeypatch.setattr(Path, "rename", recorded_rename)
        assert client.post(request()).status == 200
        steps.append("answer")
    assert steps == ["sync file", "rename", "sync folder", "answer"]


def test_what_waits_shares_the_next_file_and_its_answer_waits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = 0
    append = InboxWriter.append

    async def counted(writer: InboxWriter, line: bytes) -> None:
        nonlocal arrived
        arrived += 1
        await append(writer, line)

    monkeypatch.setattr(InboxWriter, "append", counted)
    with receiving(tmp_path) as client, ThreadPoolExecutor(9) as threads:
        gate = Gate(monkeypatch)
        answers = [threads.submit(client.post, request(0))]
        assert gate.reached.wait(30)
        answers += [threads.submit(client.post, request(number)) for number in range(1, 9)]
        eventually(lambda: arrived == 9)
        assert not any(each.done() for each in answers)
        assert client.files == []
        gate.open()
        assert [each.result().status for each in answers] == [200] * 9
        counts = [len(each.read_bytes().splitlines()) for each in client.files]
    assert counts == [1, 8]


def test_beyond_its_places_the_receiver_says_when_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(tmp_path, requests=1) as client, ThreadPoolExecutor(1) as threads:
        gate = Gate(monkeypatch)
        waiting = threads.submit(client.post, request(0))
        assert gate.reached.wait(30)
        busy = client.post(request(1))
        gate.open()
        assert waiting.result().status == 200
        assert (busy.status, busy.error["code"], busy.headers["retry-after"]) == (503, 14, "1")
        assert client.post(request(1)).status == 200
        assert client.lines == [request(0), request(1)]


def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path, requests=1) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port)
        connection.putrequest("POST", "/v1/logs")
        connection.putheader("content-type", JSON)
        connection.putheader("content-length", str(len(request())))
        connection.putheader("authorization", f"Bearer {TOKEN}")
        connection.endheaders(request()[:-1])
        eventually(lambda: client.post(request(1)).status == 503)
        connection.close()
        eventually(lambda: client.post(request(2)).status == 200)
        assert request() not in client.lines


def test_a_full_inbox_takes_nothing_until_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.receiver.inbox.MEASURE_SECONDS", 0.0)
    with receiving(tmp_path, inbox_bytes=2 * len(request()) + 2) as client:
        (tmp_path / "inbox" / "other.jsonl").write_bytes(request() + b"\n")
        assert client.post(request(1)).status == 200
        full = client.post(request(2))
        assert (full.status, full.headers["retry-after"]) == (503, "5")
        assert "attune ingest" in full.error["message"]
        (tmp_path / "inbox" / "other.jsonl").unlink()
        assert client.post(request(3)).status == 200
        assert client.lines == [request(1), request(3)]


def test_what_is_written_between_two_looks_at_the_inbox_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.receiver.inbox.MEASURE_SECONDS", 1e9)
    with receiving(tmp_path, inbox_bytes=2 * len(request()) + 2) as client:
        assert [client.post(request(number)).status for number in range(3)] == [200, 200, 503]


def test_a_disk_that_is_almost_full_takes_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path, free_bytes=1 << 62) as client:
        answer = client.post(request())
        assert (answer.status, answer.error["code"]) == (503, 14)
        assert "disk is almost full" in answer.error["message"]
        assert client.files == []


def failing_write(_: int) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def failing_rename(_: Path, __: Path) -> Path:
    raise OSError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("owner", "name", "replacement", "message"),
    [
        (os, "fsync", failing_write, "the disk is full"),
        (Path, "rename", failing_rename, "Permission denied"),
    ],
)
def test_what_cannot_be_written_is_not_acknowledged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    replacement: Callable[..., Any],
    message: str,
) -> None:
    caplog.set_level(logging.INFO)
    with receiving(tmp_path) as client:
        assert client.post(request(1)).status == 200
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, replacement)
            failed = [client.post(request(2)) for _ in range(3)]
        assert [each.status for each in failed] == [503] * 3
        assert message in failed[0].error["message"]
        assert client.post(request(3)).status == 200
        assert client.lines == [request(1), request(3)]
    assert list((tmp_path / "receiving").glob("*.tmp")) == []
    said = [each.getMessage() for each in caplog.records]
    assert sum(message in each for each in said) == 1
    assert "the inbox takes files again" in said


def test_a_file_that_the_system_cuts_off_is_never_seen(tmp_path: Path) -> None:
    large = json.dumps({"resourceLogs": [{"text": "x" * (2 << 20)}]}).encode()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with receiving(tmp_path) as client:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            cut_off = client.post(large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert cut_off.status == 503
        assert "File too large" in cut_off.error["message"]
        assert client.files == []
        assert list((tmp_path / "receiving").glob("*.tmp")) == []
        assert client.post(large).status == 200
        assert client.lines == [large]


def test_a_writer_that_fails_is_not_taken_for_a_healthy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> None:
        raise RuntimeError("a bug")

    with receiving(tmp_path) as client:
        monkeypatch.setattr("orchestration.receiver.inbox.InboxFiles.write", bug)
        assert client.post(request(1)).status == 503
        assert client.post(request(2)).status == 503
        assert client.request("GET", "/healthz", None, {}).status == 503
    assert "nothing is kept until a restart" in caplog.text
    assert "RuntimeError: a bug" in caplog.text


def test_a_bug_is_answered_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> bool:
        raise RuntimeError("a bug")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr("orchestration.receiver.app.required_encoding", bug)
    with receiving(tmp_path) as client:
        answer = client.post(request())
        assert (answer.status, answer.error["code"]) == (500, 13)
    assert "a bug" in caplog.text
    assert "refused 500: 1" in caplog.text


def test_a_report_comes_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestration.receiver.app.REPORT_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    with receiving(tmp_path) as client:
        assert client.post(request()).status == 200
        eventually(lambda: "1 requests kept" in caplog.text)
        assert client.post(request()).status == 200
        eventually(lambda: "2 requests kept" in caplog.text)
        reports = [each.getMessage() for each in caplog.records if "kept" in each.getMessage()]
    assert len(reports) == len(set(reports)) == 2


def test_the_log_counts_and_says_nothing_of_what_was_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = b'{"resourceLogs":[{"secret":"canary-7431"}]}'
    with receiving(tmp_path) as client:
        assert client.post(secret).status == 200
        assert client.post(secret[:-1]).status == 400
        assert client.post(secret, authorization="Bearer canary-7431").status == 401
        assert client.post(secret, "/v1/metrics").status == 404
    assert "1 requests kept, 43 bytes in 1 files; refused 400: 1, 401: 1, 404: 1" in caplog.text
    assert "canary" not in caplog.text
    assert TOKEN not in caplog.text
