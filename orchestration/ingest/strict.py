"""The strict reader: one line at a time, for lines that Arrow refuses, naming what is wrong with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.flat import (
    EVENT_FIELDS,
    LOG_FIELDS,
    SPAN_FIELDS,
    VALUE_KINDS,
    Attributes,
    Flat,
    Kind,
    MalformedError,
    Records,
    RepeatedKeyError,
    compact_json,
    complex_value,
    double,
    double_texts,
    items,
    members,
    scalar,
    single_member,
    string,
)
from orchestration.ingest.sdk_objects import to_export_request

KNOWN_LOG_MEMBERS = frozenset(
    ("timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body")
    + ("attributes", "droppedAttributesCount", "flags", "traceId", "spanId", "eventName")
)
KNOWN_SPAN_MEMBERS = frozenset(
    ("traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "status")
    + ("startTimeUnixNano", "endTimeUnixNano", "attributes", "events", "links")
    + ("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")
)
KNOWN_EVENT_MEMBERS = frozenset(("timeUnixNano", "name", "attributes", "droppedAttributesCount"))

INTEGER_DIGITS = 40


@dataclass(frozen=True)
class Refusal:
    """Why a whole line cannot be taken; `detail` never quotes it."""

    reason: str
    detail: str = ""


def read_line(raw: bytes, *, is_unended: bool = False) -> dict[str, Any] | Refusal:
    """The export request in a line, or why there is none.

    Args:
        raw: the line without its line feed.
        is_unended: it is the last line of its file and no line feed follows.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if is_unended:
            return Refusal("truncated_line", "no line feed, and not complete JSON")
        return Refusal("invalid_utf8", f"byte {error.start} of the line is not UTF-8")
    has_repeated_member = False

    def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_repeated_member
        result = dict(pairs)
        has_repeated_member |= len(result) != len(pairs)
        return result

    try:
        value = json.loads(
            text,
            object_pairs_hook=unique_members,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
        )
    except json.JSONDecodeError as error:
        if is_unended:
            return Refusal("truncated_line", "no line feed, and not complete JSON")
        return Refusal("invalid_json", f"character {error.pos} of the line")
    except ValueError:
        return Refusal("invalid_json", "NaN and Infinity are not JSON numbers")
    except RecursionError:
        return Refusal("invalid_json", "nested too deep")
    if has_repeated_member:
        return Refusal("duplicate_key", "an object has the same member twice")
    if "\\ud" in text or "\\uD" in text:
        value = _without_lone_surrogates(value)
    return _export_request(value)


def _export_request(value: Any) -> dict[str, Any] | Refusal:
    request: dict[str, Any] | None = None
    if isinstance(value, dict):
        is_request = bool({"resourceLogs", "resourceSpans"} & value.keys())
        try:
            request = value if is_request else to_export_request(value)
        except MalformedError as error:
            return Refusal("not_an_export_request", str(error))
        except RecursionError:
            return Refusal("not_an_export_request", "nested too deep")
    if request is None:
        return Refusal("not_an_export_request", "no object with resourceLogs or resourceSpans")
    return request


@dataclass
class _AttributeColumns:
    owner: list[int] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    text: list[str | None] = field(default_factory=list)
    doubles: list[tuple[int, float]] = field(default_factory=list)

    def add(self, owner: int, pairs: Any, where: str) -> bool:
        """Add an owner's attributes; True if a key clashes with itself inside a value."""
        clashes = False
        for pair in items(pairs, where):
            content = _item(pair, where)
            kind, text = Kind.EMPTY, None
            try:
                kind, text = self._value(content.get("value"), f"{where}.value")
            except RepeatedKeyError:
                clashes = True
            self.owner.append(owner)
            self.key.append(string(content.get("key"), f"{where}.key"))
            self.kind.append(kind)
            self.text.append(text)
        return clashes

    def _value(self, value: Any, where: str) -> tuple[Kind, str | None]:
        content = members(value, where)
        name = single_member(content, where)
        if name == "doubleValue":
            self.doubles.append((len(self.owner), double(content[name], where)))
            return Kind.DOUBLE, None
        return value_text(content, name, where)

    def build(self) -> Attributes:
        text = pa.array(self.text, pa.string())
        if self.doubles:
            mask = np.zeros(len(self.text), dtype=bool)
            mask[[row for row, _ in self.doubles]] = True
            numbers = pa.array([number for _, number in self.doubles], pa.float64())
            text = pc.replace_with_mask(text, pa.array(mask), double_texts(numbers))
        return Attributes(
            np.array(self.owner, dtype=np.int64),
            pa.array(self.key, pa.string()),
            np.array(self.kind, dtype=np.int8),
            text,
        )


def value_text(content: Mapping[str, Any], name: str | None, where: str) -> tuple[Kind, str | None]:
    """Kind and text of a value that is not a double."""
    if name in ("arrayValue", "kvlistValue"):
        return complex_value(content, where)
    if name is None:
        return Kind.EMPTY, None
    plain = scalar(name, content[name], where)
    if isinstance(plain, bool):
        return Kind.BOOL, "true" if plain else "false"
    return VALUE_KINDS[name], str(plain)


@dataclass
class _RecordColumns:
    fields: tuple[str, ...]
    attributes: _AttributeColumns = field(default_factory=_AttributeColumns)
    line: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    resource: list[int] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    text: list[tuple[str, ...]] = field(default_factory=list)
    clashing: list[int] = field(default_factory=list)

    def build(self) -> Records:
        columns = list(zip(*self.text, strict=True)) or [()] * len(self.fields)
        return Records(
            line=np.array(self.line, dtype=np.int64),
            number=np.array(self.number, dtype=np.int64),
            position=np.array(self.position, dtype=np.int64),
            resource=np.array(self.resource, dtype=np.int64),
            parent=np.array(self.parent, dtype=np.int64),
            text={
                name: pa.array(column, pa.string())
                for name, column in zip(self.fields, columns, strict=True)
            },
            attributes=self.attributes.build(),
            clashing=np.array(self.clashing, dtype=np.int64),
        )


@dataclass
class StrictReader:
    """Collects export requests into one flat block; a refused line leaves no trace in it."""

    resources: _AttributeColumns = field(default_factory=_AttributeColumns)
    resource_count: int = 0
    resources_clashing: list[int] = field(default_factory=list)
    logs: _RecordColumns = field(default_factory=lambda: _RecordColumns(LOG_FIELDS))
    spans: _RecordColumns = field(default_factory=lambda: _RecordColumns(SPAN_FIELDS))
    events: _RecordColumns = field(default_factory=lambda: _RecordColumns(EVENT_FIELDS))

    def build(self) -> Flat:
        """The block of everything added."""
        return Flat(
            self.resource_count,
            self.resources.build(),
            np.array(self.resources_clashing, dtype=np.int64),
            self.logs.build(),
            self.spans.build(),
            self.events.build(),
        )

    def add(self, line: int, request: dict[str, Any]) -> None:
        """Add all records of a request that `check_request` let pass."""
        number = 0
        for resource_logs in items(request.get("resourceLogs"), "resourceLogs"):
            group = _item(resource_logs, "resourceLogs")
            resource = self._resource(group)
            for scope_logs in items(group.get("scopeLogs"), "scopeLogs"):
                scope = _item(scope_logs, "scopeLogs")
                for record in items(scope.get("logRecords"), "logRecords"):
                    self._log(line, number, resource, _item(record, "logRecords"))
                    number += 1
        for resource_spans in items(request.get("resourceSpans"), "resourceSpans"):
            group = _item(resource_spans, "resourceSpans")
            resource = self._resource(group)
            for scope_spans in items(group.get("scopeSpans"), "scopeSpans"):
                scope = _item(scope_spans, "scopeSpans")
                for span in items(scope.get("spans"), "spans"):
                    self._span(line, number, resource, _item(span, "spans"))
                    number += 1

    def _resource(self, group: Mapping[str, Any]) -> int:
        resource = members(group.get("resource"), "resource")
        index = self.resource_count
        if self.resources.add(index, resource.get("attributes"), "resource.attributes"):
            self.resources_clashing.append(index)
        self.resource_count += 1
        return index

    def _log(self, line: int, number: int, resource: int, record: Mapping[str, Any]) -> None:
        index = len(self.logs.line)
        clashes = self.logs.attributes.add(index, record.get("attributes"), "attributes")
        body = members(record.get("body"), "body")
        body_kind, body_text = Kind.EMPTY, None
        try:
            body_kind, body_text = _any_text(body, "body")
        except RepeatedKeyError:
            clashes = True
        self._place(self.logs, line, number, resource, clashes=clashes)
        self.logs.text.append(
            (
                _time(record.get("timeUnixNano")),
                _time(record.get("observedTimeUnixNano")),
                _integer(record.get("severityNumber"), "severityNumber"),
                string(record.get("severityText"), "severityText"),
                string(record.get("eventName"), "eventName"),
                str(int(body_kind)),
                body_text or "",
                _integer(record.get("flags"), "flags"),
                string(record.get("traceId"), "traceId"),
                string(record.get("spanId"), "spanId"),
                _integer(record.get("droppedAttributesCount"), "droppedAttributesCount"),
                _extra(record, KNOWN_LOG_MEMBERS),
            )
        )

    def _span(self, line: int, number: int, resource: int, span: Mapping[str, Any]) -> None:
        index = len(self.spans.line)
        clashes = self.spans.attributes.add(index, span.get("attributes"), "attributes")
        links = ""
        try:
            links = links_text(items(span.get("links"), "links"))
        except RepeatedKeyError:
            clashes = True
        status = members(span.get("status"), "status")
        for position, event in enumerate(items(span.get("events"), "events")):
            clashes |= self._event(line, number, resource, index, position, _item(event, "events"))
        self._place(self.spans, line, number, resource, clashes=clashes)
        self.spans.text.append(
            (
                string(span.get("traceId"), "traceId"),
                string(span.get("spanId"), "spanId"),
                string(span.get("parentSpanId"), "parentSpanId"),
                string(span.get("traceState"), "traceState"),
                _integer(span.get("flags"), "flags"),
                string(span.get("name"), "name"),
                _integer(span.get("kind"), "kind"),
                _time(span.get("startTimeUnixNano")),
                _time(span.get("endTimeUnixNano")),
                _integer(status.get("code"), "status.code"),
                string(status.get("message"), "status.message"),
                links,
                _integer(span.get("droppedAttributesCount"), "droppedAttributesCount"),
                _integer(span.get("droppedEventsCount"), "droppedEventsCount"),
                _integer(span.get("droppedLinksCount"), "droppedLinksCount"),
                _extra(span, KNOWN_SPAN_MEMBERS),
            )
        )

    def _event(
        self,
        line: int,
        number: int,
        resource: int,
        span: int,
        position: int,
        event: Mapping[str, Any],
    ) -> bool:
        index = len(self.events.line)
        clashes = self.events.attributes.add(index, event.get("attributes"), "attributes")
        self._place(self.events, line, number, resource, clashes=clashes)
        self.events.position[-1] = position
        self.events.parent[-1] = span
        self.events.text.append(
            (
                _time(event.get("timeUnixNano")),
                string(event.get("name"), "events.name"),
                _integer(event.get("droppedAttributesCount"), "droppedAttributesCount"),
                _extra(event, KNOWN_EVENT_MEMBERS),
            )
        )
        return clashes

    @staticmethod
    def _place(
        columns: _RecordColumns, line: int, number: int, resource: int, *, clashes: bool
    ) -> None:
        if clashes:
            columns.clashing.append(len(columns.line))
        columns.line.append(line)
        columns.number.append(number)
        columns.position.append(0)
        columns.parent.append(0)
        columns.resource.append(resource)


def check_request(request: dict[str, Any]) -> Refusal | None:
    """Why an object with `resourceLogs` or `resourceSpans` is still no export request, if so."""
    try:
        StrictReader().add(0, request)
    except MalformedError as error:
        return Refusal("not_an_export_request", str(error))
    except RecursionError:
        return Refusal("not_an_export_request", "nested too deep")
    return None


def links_text(links: list[Any]) -> str:
    """A span's links as one text, for its hash only."""
    if not links:
        return ""
    return compact_json(
        [
            [
                string(link.get("traceId"), "links.traceId"),
                string(link.get("spanId"), "links.spanId"),
                string(link.get("traceState"), "links.traceState"),
                _integer(link.get("flags"), "links.flags"),
                _integer(link.get("droppedAttributesCount"), "links.droppedAttributesCount"),
                sorted(
                    [string(pair.get("key"), "links.key"), *_any_text_pair(pair.get("value"))]
                    for pair in items(link.get("attributes"), "links.attributes")
                ),
            ]
            for link in (_item(link, "links") for link in links)
        ]
    )


def _any_text_pair(value: Any) -> tuple[int, str]:
    kind, text = _any_text(members(value, "links.value"), "links.value")
    return int(kind), text or ""


def _any_text(value: Mapping[str, Any], where: str) -> tuple[Kind, str | None]:
    name = single_member(value, where)
    if name == "doubleValue":
        numbers = pa.array([double(value[name], where)], pa.float64())
        return Kind.DOUBLE, double_texts(numbers)[0].as_py()
    return value_text(value, name, where)


def _item(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        raise MalformedError(f"{where} holds null")
    return members(value, where)


def _integer(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MalformedError(f"{where} is not a number")
    if isinstance(value, float):
        if not value.is_integer():
            raise MalformedError(f"{where} is not an integer")
        value = int(value)
    text = str(value)
    return "" if text == "0" else text


def _time(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "not a whole number"


def _extra(record: Mapping[str, Any], known: frozenset[str]) -> str:
    if record.keys() <= known:
        return ""
    return compact_json({name: record[name] for name in record.keys() - known})


def _refuse_constant(_: str) -> None:
    raise ValueError


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS else float(digits)


def _without_lone_surrogates(value: Any) -> Any:
    """Half a character, as left by a text cut in the middle of an emoji, becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            _without_lone_surrogates(key): _without_lone_surrogates(item)
            for key, item in value.items()
        }
    return value
