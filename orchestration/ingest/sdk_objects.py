"""Records as the OpenTelemetry JavaScript SDK holds them, which is what VS Code writes to a file.

VS Code's file exporter and the Copilot CLI's put one log record or span in a line, by
`JSON.stringify` of the SDK's object and not as OTLP/JSON. Each becomes the export request that the
SDK's OTLP exporter would have sent, so that nothing after this module knows of the dialect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.ingest.flat import MalformedError, items, members, string

# What such a line starts with; an export request never does. A wrong guess costs time only.
LINE_STARTS = (b'{"resource":', b'{"type":', b'{"traceId":', b'{"_spanContext":')

NANOS_PER_SECOND = 1_000_000_000
NOT_A_TIME = "not a whole number"
HAS_REMOTE_MASK, IS_REMOTE_MASK = 0x100, 0x200


def starts_like_sdk_object(raw: bytes) -> bool:
    """Whether a line probably holds an SDK object: the block reader need not try it."""
    return raw.startswith(LINE_STARTS)


def to_export_request(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The export request of an SDK object, or None where the object is none.

    Args:
        value: a line's object, as parsed.

    Raises:
        MalformedError: an SDK object with a part of the wrong shape; the message quotes no value.
    """
    if _either(value, "hrTime") is not None or _either(value, "hrTimeObserved") is not None:
        return _request(value, "resourceLogs", "scopeLogs", "logRecords", _log_record(value))
    if isinstance(value.get("startTime"), list) and _context(value):
        return _request(value, "resourceSpans", "scopeSpans", "spans", _span(value))
    return None


def _request(
    value: Mapping[str, Any], groups: str, scopes: str, records: str, record: dict[str, Any]
) -> dict[str, Any]:
    scope = {"scope": members(value.get("instrumentationScope"), "instrumentationScope")}
    resource = {"attributes": _pairs(_resource(value))}
    return {groups: [{"resource": resource, scopes: [{**scope, records: [record]}]}]}


def _log_record(value: Mapping[str, Any]) -> dict[str, Any]:
    context = _context(value)
    return {
        "timeUnixNano": _nanoseconds(_either(value, "hrTime")),
        "observedTimeUnixNano": _nanoseconds(_either(value, "hrTimeObserved")),
        "severityNumber": _either(value, "severityNumber"),
        "severityText": _either(value, "severityText"),
        "body": _any_value(_either(value, "body")),
        "attributes": _attributes(value),
        "droppedAttributesCount": _either(value, "droppedAttributesCount"),
        "flags": context.get("traceFlags"),
        "traceId": context.get("traceId"),
        "spanId": context.get("spanId"),
        "eventName": _either(value, "eventName"),
    }


def _span(value: Mapping[str, Any]) -> dict[str, Any]:
    context = _context(value)
    parent = members(value.get("parentSpanContext"), "parentSpanContext")
    kind = value.get("kind")
    return {
        "traceId": context.get("traceId"),
        "spanId": context.get("spanId"),
        "traceState": context.get("traceState"),
        "parentSpanId": value.get("parentSpanId") or parent.get("spanId"),
        "flags": _flags(context, parent),
        "name": value.get("name"),
        # the SDK counts kinds from 0, OTLP from 1
        "kind": kind + 1 if isinstance(kind, int) else None,
        "startTimeUnixNano": _nanoseconds(value.get("startTime")),
        "endTimeUnixNano": _nanoseconds(value.get("endTime")),
        "attributes": _attributes(value),
        "droppedAttributesCount": _either(value, "droppedAttributesCount"),
        "events": [_event(event) for event in items(value.get("events"), "events")],
        "droppedEventsCount": _either(value, "droppedEventsCount"),
        "links": [_link(link) for link in items(value.get("links"), "links")],
        "droppedLinksCount": _either(value, "droppedLinksCount"),
        "status": members(value.get("status"), "status"),
    }


def _event(value: Any) -> dict[str, Any]:
    event = members(value, "events")
    return {
        "timeUnixNano": _nanoseconds(event.get("time", event.get("timestamp"))),
        "name": event.get("name"),
        "attributes": _attributes(event),
        "droppedAttributesCount": event.get("droppedAttributesCount"),
    }


def _link(value: Any) -> dict[str, Any]:
    link = members(value, "links")
    context = members(link.get("context"), "links.context")
    return {
        "traceId": context.get("traceId"),
        "spanId": context.get("spanId"),
        "traceState": context.get("traceState"),
        "flags": _flags(context, context),
        "attributes": _attributes(link),
        "droppedAttributesCount": link.get("droppedAttributesCount"),
    }


def _either(value: Mapping[str, Any], name: str) -> Any:
    """A property under its own name or that of the field behind it."""
    found = value.get(f"_{name}")
    return value.get(name) if found is None else found


def _context(value: Mapping[str, Any]) -> Mapping[str, Any]:
    context = members(_either(value, "spanContext"), "spanContext")
    return context or (value if value.get("spanId") else {})


def _flags(context: Mapping[str, Any], remote: Mapping[str, Any]) -> int | None:
    flags = context.get("traceFlags")
    if not isinstance(flags, int):
        return None
    is_remote = remote.get("isRemote") is True
    return (flags & 0xFF) | HAS_REMOTE_MASK | (IS_REMOTE_MASK if is_remote else 0)


def _nanoseconds(value: Any) -> str | None:
    """A time of the SDK, seconds and nanoseconds, as OTLP writes it."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2:
        seconds, nanos = value
        if isinstance(seconds, int) and isinstance(nanos, int) and 0 <= nanos < NANOS_PER_SECOND:
            return str(seconds * NANOS_PER_SECOND + nanos)
    return NOT_A_TIME


def _resource(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """A resource's attributes; of a repeated key the first that is set holds, as in the SDK."""
    resource = members(value.get("resource"), "resource")
    if "_rawAttributes" not in resource:
        return members(_either(resource, "attributes"), "resource.attributes").items()
    found: dict[str, Any] = {}
    for pair in items(resource["_rawAttributes"], "resource._rawAttributes"):
        if not isinstance(pair, list) or len(pair) != 2:
            raise MalformedError("resource._rawAttributes holds something else than pairs")
        key = string(pair[0], "resource._rawAttributes")
        if found.get(key) is None:
            found[key] = pair[1]
    return found.items()


def _attributes(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _pairs(members(value.get("attributes"), "attributes").items())


def _pairs(attributes: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": _any_value(content)}
        for key, content in attributes
        if content is not None
    ]


def _any_value(value: Any) -> dict[str, Any]:
    """A JSON value as an OTLP value; JavaScript knows no integers, so whole numbers are taken for it."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"kvlistValue": {"values": _pairs(value.items())}}
