"""The fast reader: whole blocks of lines through Arrow's JSON parser, flattened by list offsets.

Arrow is more lenient than JSON in a few places (two objects in a line, an object over two lines,
NaN as a number, text that is not UTF-8). Each of them is checked for here; whatever is not plain is
refused and left to the strict reader, so that both accept the same and read the same.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from orchestration.ingest.flat import (
    VALUE_KINDS,
    Array,
    Attributes,
    Flat,
    Integers,
    Kind,
    Kinds,
    MalformedError,
    Records,
    RepeatedKeyError,
    complex_value,
    double_texts,
    no_indices,
)
from orchestration.ingest.strict import links_text

# Arrays of objects of arrays are as deep as the GenAI conventions go; deeper is left to the strict
# reader. Each level more doubles the number of Arrow builders.
NESTING = 3
NAMED_ROW = re.compile(r"in row (\d+)\s*$")
WHITESPACE = b" \t\r"
PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"


class NotPlainError(Exception):
    """The block needs the strict reader.

    Attributes:
        row: the line that is probably the reason, from 0; None where nobody knows.
    """

    def __init__(self, row: int | None = None) -> None:
        super().__init__()
        self.row = row


def _value_type(nesting: int) -> pa.DataType:
    fields = [
        ("stringValue", pa.string()),
        ("intValue", pa.string()),
        ("doubleValue", pa.float64()),
        ("boolValue", pa.bool_()),
        ("bytesValue", pa.string()),
    ]
    if nesting:
        value = _value_type(nesting - 1)
        pair = pa.struct([("key", pa.string()), ("value", value)])
        fields.append(("arrayValue", pa.struct([("values", pa.list_(value))])))
        fields.append(("kvlistValue", pa.struct([("values", pa.list_(pair))])))
    return pa.struct(fields)


def request_schema() -> pa.Schema:
    """The Arrow schema of an export request with everything that OTLP 1.x knows."""
    value = _value_type(NESTING)
    attributes = pa.list_(pa.struct([("key", pa.string()), ("value", value)]))
    dropped = ("droppedAttributesCount", pa.int64())
    resource = pa.struct([("attributes", attributes), dropped])
    scope = pa.struct(
        [("name", pa.string()), ("version", pa.string()), ("attributes", attributes), dropped]
    )
    log = pa.struct(
        [
            ("timeUnixNano", pa.string()),
            ("observedTimeUnixNano", pa.string()),
            ("severityNumber", pa.int64()),
            ("severityText", pa.string()),
            ("body", value),
            ("attributes", attributes),
            dropped,
            ("flags", pa.int64()),
            ("traceId", pa.string()),
            ("spanId", pa.string()),
            ("eventName", pa.string()),
        ]
    )
    event = pa.struct(
        [
            ("timeUnixNano", pa.string()),
            ("name", pa.string()),
            ("attributes", attributes),
            dropped,
        ]
    )
    link = pa.struct(
        [
            ("traceId", pa.string()),
            ("spanId", pa.string()),
            ("traceState", pa.string()),
            ("flags", pa.int64()),
            ("attributes", attributes),
            dropped,
        ]
    )
    span = pa.struct(
        [
            ("traceId", pa.string()),
            ("spanId", pa.string()),
            ("parentSpanId", pa.string()),
            ("traceState", pa.string()),
            ("flags", pa.int64()),
            ("name", pa.string()),
            ("kind", pa.int64()),
            ("startTimeUnixNano", pa.string()),
            ("endTimeUnixNano", pa.string()),
            ("attributes", attributes),
            dropped,
            ("events", pa.list_(event)),
            ("droppedEventsCount", pa.int64()),
            ("links", pa.list_(link)),
            ("droppedLinksCount", pa.int64()),
            ("status", pa.struct([("message", pa.string()), ("code", pa.int64())])),
        ]
    )
    schema_url = ("schemaUrl", pa.string())

    def group(scopes: str, records: str, record: pa.DataType) -> pa.DataType:
        scoped = pa.struct([("scope", scope), (records, pa.list_(record)), schema_url])
        return pa.list_(pa.struct([("resource", resource), (scopes, pa.list_(scoped)), schema_url]))

    return pa.schema(
        [
            ("resourceLogs", group("scopeLogs", "logRecords", log)),
            ("resourceSpans", group("scopeSpans", "spans", span)),
        ]
    )


def parse_lines(lines: list[bytes], schema: pa.Schema) -> pa.Table:
    """One row for each line, all of which hold an object.

    Raises:
        NotPlainError: at least one line is not plain.
    """
    for row, line in enumerate(lines):
        if line[:1] != b"{" or line[-1:] != b"}":
            trimmed = line.strip(WHITESPACE)
            if trimmed[:1] != b"{" or trimmed[-1:] != b"}":
                raise NotPlainError(row)
    block = b"\n".join(lines)
    try:
        # Arrow checks no encoding.
        block.decode("utf-8")
        table = pj.read_json(
            pa.BufferReader(block),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
        )
    except UnicodeDecodeError as error:
        raise NotPlainError(block.count(b"\n", 0, error.start)) from error
    except pa.ArrowInvalid as error:
        named = NAMED_ROW.search(str(error))
        raise NotPlainError(int(named[1]) if named else None) from error
    # Each line starts with { and ends with }, so no object goes over a line end (JSON has no place
    # where } may be followed by {), and as many objects as lines means one in each.
    if table.num_rows != len(lines):
        raise NotPlainError
    is_request = pc.or_(
        pc.is_valid(table["resourceLogs"]),
        pc.is_valid(table["resourceSpans"]),
    )
    if not pc.all(is_request, min_count=0).as_py():
        raise NotPlainError
    return table.combine_chunks()


def flatten(table: pa.Table, line_numbers: Integers) -> Flat:
    """The flat block of parsed lines.

    Args:
        table: what `parse_lines` gave.
        line_numbers: the line number of each row.

    Raises:
        NotPlainError: a value needs the strict reader.
    """
    log_groups, log_lines = _elements(_column(table, "resourceLogs"))
    span_groups, span_lines = _elements(_column(table, "resourceSpans"))
    log_scopes, log_scope_group = _elements(log_groups.field("scopeLogs"))
    span_scopes, span_scope_group = _elements(span_groups.field("scopeSpans"))
    logs, log_scope = _elements(log_scopes.field("logRecords"))
    spans, span_scope = _elements(span_scopes.field("spans"))
    log_group = log_scope_group[log_scope]
    span_group = span_scope_group[span_scope]

    log_resources = _attributes(log_groups.field("resource").field("attributes"))
    span_resources = _attributes(span_groups.field("resource").field("attributes"))
    resources = Attributes(
        np.concatenate([log_resources.owner, span_resources.owner + len(log_groups)]),
        pa.concat_arrays([log_resources.key, span_resources.key]),
        np.concatenate([log_resources.kind, span_resources.kind]),
        pa.concat_arrays([log_resources.text, span_resources.text]),
    )
    log_row = log_lines[log_group]
    log_counts = np.bincount(log_row, minlength=len(line_numbers)).astype(np.int64)
    span_row = span_lines[span_group]
    span_number = _number_within(span_row) + log_counts[span_row]
    span_resource = span_group + len(log_groups)
    span_line = line_numbers[span_row]
    events, event_span = _elements(spans.field("events"))
    return Flat(
        resource_count=len(log_groups) + len(span_groups),
        resources=resources,
        resources_clashing=no_indices(),
        logs=_records(
            logs, line_numbers[log_row], _number_within(log_row), log_group, _log_texts(logs)
        ),
        spans=_records(spans, span_line, span_number, span_resource, _span_texts(spans)),
        events=_records(
            events,
            span_line[event_span],
            span_number[event_span],
            span_resource[event_span],
            {
                "time": _text(events, "timeUnixNano"),
                "name": _text(events, "name"),
                "dropped_attributes": _integer(events, "droppedAttributesCount"),
                "extra": _blank(events),
            },
            position=_number_within(event_span),
            parent=event_span,
        ),
    )


def _records(
    records: Array,
    line: Integers,
    number: Integers,
    resource: Integers,
    text: dict[str, Array],
    position: Integers | None = None,
    parent: Integers | None = None,
) -> Records:
    nothing = np.zeros(len(line), dtype=np.int64)
    return Records(
        line=line,
        number=number,
        position=nothing if position is None else position,
        resource=resource,
        parent=nothing if parent is None else parent,
        text=text,
        attributes=_attributes(records.field("attributes")),
        clashing=no_indices(),
    )


def _log_texts(logs: Array) -> dict[str, Array]:
    kinds, body = _values(logs.field("body"))
    return {
        "time": _text(logs, "timeUnixNano"),
        "observed": _text(logs, "observedTimeUnixNano"),
        "severity_number": _integer(logs, "severityNumber"),
        "severity_text": _text(logs, "severityText"),
        "name": _text(logs, "eventName"),
        "body_kind": pc.cast(pa.array(kinds), pa.string()),
        "body": pc.fill_null(body, ""),
        "flags": _integer(logs, "flags"),
        "trace_id": _text(logs, "traceId"),
        "span_id": _text(logs, "spanId"),
        "dropped_attributes": _integer(logs, "droppedAttributesCount"),
        "extra": _blank(logs),
    }


def _span_texts(spans: Array) -> dict[str, Array]:
    status = spans.field("status")
    return {
        "trace_id": _text(spans, "traceId"),
        "span_id": _text(spans, "spanId"),
        "parent_span_id": _text(spans, "parentSpanId"),
        "trace_state": _text(spans, "traceState"),
        "flags": _integer(spans, "flags"),
        "name": _text(spans, "name"),
        "span_kind": _integer(spans, "kind"),
        "time": _text(spans, "startTimeUnixNano"),
        "end": _text(spans, "endTimeUnixNano"),
        "status_code": _integer(status, "code"),
        "status_message": _text(status, "message"),
        "links": _links(spans.field("links")),
        "dropped_attributes": _integer(spans, "droppedAttributesCount"),
        "dropped_events": _integer(spans, "droppedEventsCount"),
        "dropped_links": _integer(spans, "droppedLinksCount"),
        "extra": _blank(spans),
    }


def _column(table: pa.Table, name: str) -> Array:
    column = table[name]
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _elements(lists: Array) -> tuple[Array, Integers]:
    """All elements of a list column, and for each the row of its list."""
    elements = lists.flatten()
    if elements.null_count:
        raise NotPlainError
    return elements, _numpy(pc.list_parent_indices(lists))


def _number_within(parents: Integers) -> Integers:
    """The position from 0 of each element among those of the same parent."""
    if not len(parents):
        return no_indices()
    starts = np.flatnonzero(np.diff(parents, prepend=parents[0] - 1))
    first = np.repeat(starts, np.diff(np.append(starts, len(parents))))
    return np.arange(len(parents), dtype=np.int64) - first


def _attributes(lists: Array) -> Attributes:
    pairs, owner = _elements(lists)
    kind, text = _values(pairs.field("value"))
    return Attributes(owner, _text(pairs, "key"), kind, text)


def _values(values: Array) -> tuple[Kinds, Array]:
    """Kind and text of OTLP values."""
    kind = np.full(len(values), Kind.EMPTY, dtype=np.int8)
    present = np.zeros(len(values), dtype=np.int8)
    texts = {}
    for name, code in VALUE_KINDS.items():
        column = values.field(name)
        if column.null_count == len(column):
            continue
        is_valid = _numpy_mask(pc.is_valid(column))
        present += is_valid
        kind[is_valid] = code
        texts[name] = column
    if present.max(initial=0) > 1:
        raise NotPlainError
    columns = []
    for name, column in texts.items():
        if name == "intValue":
            _require(pc.match_substring_regex(column, PLAIN_INTEGER))
            columns.append(column)
        elif name == "doubleValue":
            _require(pc.is_finite(column))
            columns.append(double_texts(column))
        elif name == "boolValue":
            columns.append(pc.cast(column, pa.string()))
        elif name == "stringValue":
            columns.append(column)
        else:
            columns.append(_complex_texts(values, column))
    if not columns:
        return kind, pa.nulls(len(values), pa.string())
    return kind, columns[0] if len(columns) == 1 else pc.coalesce(*columns)


def _complex_texts(values: Array, column: Array) -> Array:
    """Texts of the arrays, key-value lists and bytes among values, null elsewhere."""
    is_valid = pc.is_valid(column)
    rows = values.filter(is_valid).to_pylist()
    try:
        texts = [complex_value(row, "value")[1] for row in rows]
    except (MalformedError, RepeatedKeyError) as error:
        raise NotPlainError from error
    return pc.replace_with_mask(
        pa.nulls(len(values), pa.string()), is_valid, pa.array(texts, pa.string())
    )


def _links(lists: Array) -> Array:
    if not len(lists.flatten()):
        return pa.array([""] * len(lists), pa.string())
    try:
        return pa.array([links_text(links or []) for links in lists.to_pylist()], pa.string())
    except (MalformedError, RepeatedKeyError) as error:
        raise NotPlainError from error


def _require(is_plain: Array) -> None:
    if not pc.all(is_plain, min_count=0).as_py():
        raise NotPlainError


def _text(records: Array, name: str) -> Array:
    return pc.fill_null(records.field(name), "")


def _integer(records: Array, name: str) -> Array:
    texts = pc.cast(records.field(name), pa.string())
    return pc.fill_null(pc.if_else(pc.equal(texts, "0"), "", texts), "")


def _blank(records: Array) -> Array:
    return pa.repeat(pa.scalar("", pa.string()), len(records))


def _numpy(column: Array) -> Integers:
    values: Integers = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _numpy_mask(column: Array) -> np.typing.NDArray[np.bool_]:
    mask: np.typing.NDArray[np.bool_] = column.to_numpy(zero_copy_only=False)
    return mask
