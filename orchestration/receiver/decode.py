"""Export requests as lines of the inbox: one request, one line of OTLP/JSON.

What a record may hold is ingest's to judge, which keeps what it rejects; here only what no line can
carry is refused.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orchestration.receiver.errors import RefusedError

HEX_FIELDS = frozenset(("trace_id", "span_id", "parent_span_id"))
WIDE_INTEGERS = frozenset(
    (
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    )
)

Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of telemetry: its path, the member that holds its records, its protobuf message."""

    path: str
    member: str
    message: Any


LOGS = Signal("/v1/logs", "resourceLogs", ExportLogsServiceRequest)
TRACES = Signal("/v1/traces", "resourceSpans", ExportTraceServiceRequest)


def line_of_json(body: bytes, signal: Signal) -> bytes:
    """The request on one line, its bytes otherwise unchanged; empty if it holds nothing.

    Raises:
        RefusedError: not JSON, or not an export request of the signal.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = _lenient(body)
    if not isinstance(request, dict):
        raise _malformed(f"the body is not an object with {signal.member}")
    if request and signal.member not in request:
        raise _malformed(f"the body has no {signal.member}, which {signal.path} takes")
    records = request.get(signal.member)
    if records is not None and not isinstance(records, list):
        raise _malformed(f"{signal.member} is not an array")
    # a raw line feed in valid JSON stands between tokens only
    return body.strip().replace(b"\n", b" ") if records else b""


def line_of_protobuf(body: bytes, signal: Signal) -> bytes:
    """The request as OTLP/JSON on one line; empty if it holds nothing.

    Raises:
        RefusedError: not the protobuf message of the signal.
    """
    if not body:
        return b""
    try:
        request = signal.message.FromString(body)
    except DecodeError as error:
        raise _malformed(f"the body is not an {signal.message.DESCRIPTOR.name}") from error
    content = MessageConverter().convert(request)
    if signal.member not in content:
        raise _malformed(f"the body has no {signal.member}, which {signal.path} takes")
    return orjson.dumps(content)


class MessageConverter:
    """Protobuf messages as OTLP/JSON: hex ids, 64-bit integers as text, enums as numbers.

    Driven by the messages' own descriptors, so that a field of a newer OTLP needs a newer library
    and nothing here; key-value pairs, the bulk of any request, have a way of their own. A third of
    the time of `json_format`, which also writes ids as base64.
    """

    def __init__(self) -> None:
        self._fields: dict[Any, tuple[str, Converter | None]] = {}

    def convert(self, message: Any) -> dict[str, Any]:
        """The message's set fields under their JSON names, for `orjson.dumps`."""
        content: dict[str, Any] = {}
        fields = self._fields
        for descriptor, value in message.ListFields():
            known = fields.get(descriptor)
            if known is None:
                known = fields[descriptor] = (descriptor.json_name, self._converter(descriptor))
            name, converter = known
            content[name] = value if converter is None else converter(value)
        return content

    def _converter(self, descriptor: Any) -> Converter | None:
        if descriptor.message_type is not None:
            if not descriptor.is_repeated:
                return self.convert
            is_pairs = descriptor.message_type.full_name == "opentelemetry.proto.common.v1.KeyValue"
            return self._pairs if is_pairs else self._messages
        converter = _scalar_converter(descriptor)
        if not descriptor.is_repeated:
            return converter
        return list if converter is None else lambda values: [converter(each) for each in values]

    def _messages(self, values: Any) -> orjson.Fragment:
        """Text at once: as dictionaries, a large request takes twenty times its size."""
        parts = [orjson.dumps(self.convert(each)) for each in values]
        return orjson.Fragment(b"[" + b",".join(parts) + b"]")

    def _pairs(self, pairs: Any) -> list[dict[str, Any]]:
        return [{"key": pair.key, "value": self._value(pair.value)} for pair in pairs]

    def _value(self, value: Any) -> dict[str, Any]:
        kind = value.WhichOneof("value")
        if kind == "string_value":
            return {"stringValue": value.string_value}
        if kind == "int_value":
            return {"intValue": str(value.int_value)}
        return self.convert(value)


def _scalar_converter(descriptor: Any) -> Converter | None:
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if descriptor.name in HEX_FIELDS else _base64
    if descriptor.type in WIDE_INTEGERS:
        return str
    if descriptor.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _double
    return None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _lenient(body: bytes) -> Any:
    """JSON that the fast parser refuses: half a surrogate pair, which cut-off emoji leave."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed("the body is not valid JSON in UTF-8") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _malformed(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, message)
