"""Events that the API writes, as OTLP/JSON export requests: one line of the inbox each."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from serving.clock import to_microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SERVICE = "attune-serve"
PROVIDER = "attune"
EXPOSURE = "feature_flag.evaluation"
PREFERENCE_SET = "user.preference.set"
PREFERENCE_CLEARED = "user.preference.cleared"
CONSENT_CHANGED = "user.consent.changed"
ERASURE_REQUESTED = "user.erasure.requested"
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-..(-|$)"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where in a trace something happens: 32 and 16 hex digits; both empty outside of one."""

    trace_id: str = ""
    span_id: str = ""


def trace_of(traceparent: str) -> Trace:
    """Read a W3C traceparent header; one that is missing or malformed is no trace."""
    found = _TRACEPARENT.match(traceparent)
    return Trace() if found is None else Trace(found[1], found[2])


def new_trace() -> Trace:
    """Begin a trace."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


def new_event_id() -> str:
    """Return an id that no other event has."""
    return uuid.uuid4().hex


def event_line(
    name: str,
    attributes: Mapping[str, str | bool | float],
    *,
    event_id: str,
    at: datetime,
    trace: Trace | None = None,
) -> bytes:
    """Write one event as a line of the inbox.

    Args:
        name: The event's name.
        attributes: Its attributes, under their canonical names; raw ids, as any emitter sends them.
        event_id: Becomes the event's id in the lake.
        at: When it happened, naive UTC.
        trace: Where it happened.
    """
    nanoseconds = str(to_microseconds(at) * 1000)
    record: dict[str, Any] = {
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": 9,
        "eventName": name,
        "attributes": _attributes({"log.record.uid": event_id, **attributes}),
    }
    if trace is not None and trace.trace_id:
        record |= {"traceId": trace.trace_id, "spanId": trace.span_id}
    resource = {"attributes": _attributes({"service.name": SERVICE})}
    logs = {"scope": {"name": "attune.serving"}, "logRecords": [record]}
    return orjson.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [logs]}]})


def _attributes(values: Mapping[str, str | bool | float]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | bool | float) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
