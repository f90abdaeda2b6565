"""A request becomes one line that says the same."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from orchestration.receiver.decode import LOGS, TRACES, line_of_json, line_of_protobuf
from orchestration.receiver.errors import RefusedError

NAN, INFINITY = float("nan"), float("inf")
SCALARS: list[dict[str, Any]] = [
    {"string_value": 'text with "quotes", \n a line feed and \N{GRINNING FACE}'},
    {"string_value": ""},
    {"bool_value": False},
    {"int_value": -(2**63)},
    {"int_value": 0},
    {"double_value": 0.1},
    {"double_value": NAN},
    {"double_value": -INFINITY},
    {"bytes_value": b"\x00\xff"},
    {},
]


def pairs() -> list[KeyValue]:
    """Attributes of every kind, nested ones too."""
    values = [AnyValue(**each) for each in SCALARS]
    found = [KeyValue(key=f"key.{number}", value=value) for number, value in enumerate(values)]
    nested = AnyValue()
    nested.array_value.values.extend(values)
    inner = nested.array_value.values.add()
    inner.kvlist_value.values.extend(found)
    return [*found, KeyValue(key="nested", value=nested)]


def logs() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add(schema_url="https://example.org/schema")
    resource_logs.resource.attributes.extend(pairs())
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "scope"
    scope_logs.scope.attributes.extend(pairs())
    record = scope_logs.log_records.add(
        time_unix_nano=2**64 - 1,
        observed_time_unix_nano=1_767_225_600_000_000_001,
        severity_number=9,
        severity_text="INFO",
        dropped_attributes_count=3,
        flags=1,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        event_name="assistant.feedback",
    )
    record.attributes.extend(pairs())
    record.body.kvlist_value.values.extend(pairs())
    return request


def spans() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes(range(16)),
            span_id=bytes(range(8)),
            parent_span_id=bytes(range(8, 16)),
            trace_state="a=b",
            name="chat",
            kind=3,
            start_time_unix_nano=1_767_225_600_000_000_001,
            end_time_unix_nano=1_767_225_600_000_000_002,
        )
    )
    span.attributes.extend(pairs())
    span.events.add(time_unix_nano=1, name="event").attributes.extend(pairs())
    span.links.add(trace_id=bytes(16), span_id=bytes(8), flags=256).attributes.extend(pairs())
    span.status.code = 2
    span.status.message = "failed"
    return request


def reference(message: Any) -> Any:
    """protobuf's own JSON, with the one difference that OTLP asks for: ids in hex."""
    return with_hex_ids(json_format.MessageToDict(message, use_integers_for_enums=True))


def with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [with_hex_ids(each) for each in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each).hex()
            if name in ("traceId", "spanId", "parentSpanId")
            else with_hex_ids(each)
            for name, each in value.items()
        }
    return value


@pytest.mark.parametrize(("message", "signal"), [(logs(), LOGS), (spans(), TRACES)])
def test_protobuf_becomes_the_json_of_otlp(message: Any, signal: Any) -> None:
    line = line_of_protobuf(message.SerializeToString(), signal)
    assert b"\n" not in line
    assert json.loads(line) == reference(message)


def test_ids_are_hex_and_wide_integers_text() -> None:
    found = json.loads(line_of_protobuf(spans().SerializeToString(), TRACES))
    span = found["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert span["parentSpanId"] == "08090a0b0c0d0e0f"
    assert span["startTimeUnixNano"] == "1767225600000000001"
    assert (span["kind"], span["status"]["code"]) == (3, 2)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1), st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats())
)
def test_any_attributes_become_the_json_of_otlp(attributes: dict[str, Any]) -> None:
    names = {str: "string_value", int: "int_value", float: "double_value"}
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    for key, value in attributes.items():
        record.attributes.add(key=key, value=AnyValue(**{names[type(value)]: value}))
    assert json.loads(line_of_protobuf(request.SerializeToString(), LOGS)) == reference(request)


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceLogs":[{"a":12345678901234567890123,"b":1,"b":2,"c":0.10}]}',
        b'{"resourceLogs":[{"cut off": "\\ud83d"}]}',
        '{"resourceLogs":[{"a":"ü"}],"unknown":null}'.encode(),
    ],
)
def test_json_keeps_its_bytes(body: bytes) -> None:
    assert line_of_json(body, LOGS) == body


def test_json_on_many_lines_becomes_one_that_means_the_same() -> None:
    body = b'\r\n{\n  "resourceLogs": [\r\n    {"a": "line\\nfeed"}\n  ]\n}\n'
    line = line_of_json(body, LOGS)
    assert b"\n" not in line
    assert json.loads(line) == json.loads(body)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"resourceLogs":[]}', b'{"resourceLogs":null}', b" {\n} "]
)
def test_json_without_records_is_no_line(body: bytes) -> None:
    assert line_of_json(body, LOGS) == b""


def test_protobuf_without_records_is_no_line() -> None:
    assert line_of_protobuf(b"", LOGS) == b""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b'{"resourceLogs":[{}]',
        b'{"resourceLogs":[{}]}{"resourceLogs":[{}]}',
        b'{"resourceLogs":[NaN]}',
        b'{"resourceLogs":["\xff"]}',
        b'{"resourceLogs":["raw\nline feed"]}',
        b'\xef\xbb\xbf{"resourceLogs":[]}',
        b"[" * 100_000,
        b"[]",
        b"7",
        b'"resourceLogs"',
        b'{"resourceSpans":[{}]}',
        b'{"resource_logs":[{}]}',
        b'{"resourceLogs":{}}',
        b'{"resourceLogs":""}',
    ],
)
def test_json_that_is_no_export_request_is_malformed(body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        line_of_json(body, LOGS)
    assert refused.value.status == 400
    assert refused.value.retry_after is None


@pytest.mark.parametrize("body", [b"\xff", b'{"resourceLogs":[]}', b"\x0a\x05short", b"\x18\x01"])
def test_protobuf_that_is_no_export_request_is_malformed(body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        line_of_protobuf(body, LOGS)
    assert refused.value.status == 400
