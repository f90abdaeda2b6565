"""Export requests in a few words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Query = Callable[[str], list[tuple[Any, ...]]]


def attribute(key: str, value: Any) -> dict[str, Any]:
    """An attribute; a dict is taken as the raw OTLP value."""
    if isinstance(value, dict):
        return {"key": key, "value": value}
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": value}}


def log(name: str = "test.event", *, nanos: int = 1_700_000_000_000_000_000, **more: Any) -> Any:
    """A log record; attributes are given as `attributes={key: value}`."""
    attributes = more.pop("attributes", {})
    return {
        "timeUnixNano": str(nanos),
        "observedTimeUnixNano": str(nanos),
        "severityNumber": 9,
        "eventName": name,
        "attributes": [attribute(key, value) for key, value in attributes.items()],
        **more,
    }


def request(*records: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """An export request of log records."""
    attributes = [attribute(key, value) for key, value in (resource or {}).items()]
    scope = {"scope": {"name": "test"}, "logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [scope]}]}


def span_request(*spans: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """An export request of spans."""
    attributes = [attribute(key, value) for key, value in (resource or {}).items()]
    scope = {"scope": {"name": "test"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope]}]}


def lines(*requests: Any) -> bytes:
    """One request per line, each ended by a line feed."""
    return b"".join(
        json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        for each in requests
    )
