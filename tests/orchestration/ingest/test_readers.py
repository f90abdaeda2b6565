"""The fast and the strict reader read the same from every well-formed request."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingest.blocks import parse_block
from orchestration.ingest.fast import NotPlainError, flatten, parse_lines, request_schema
from orchestration.ingest.flat import Flat
from orchestration.ingest.keys import Keys
from orchestration.ingest.lines import Line
from orchestration.ingest.privacy import PrivacyPolicy, load_privacy
from orchestration.ingest.redact import Pseudonyms
from orchestration.ingest.rows import Rows, Stamp, build_rows
from orchestration.ingest.strict import Refusal, StrictReader, check_request, read_line
from tests.orchestration.ingest.otlp import lines, log, request

SCHEMA = request_schema()
KEYS = Keys("k1", {"k1": b"p" * 32}, b"e" * 32)
STAMP = Stamp("0" * 64, datetime(2026, 1, 1, tzinfo=UTC))
POLICY = load_privacy(Path(__file__).resolve().parents[3] / "seeds" / "declarations")

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
KEY_NAMES = (
    st.sampled_from(
        [
            "user.id",
            "session.id",
            "event.name",
            "log.record.uid",
            "user.email",
            "a",
            "b",
            "ä",
            "service.name",
        ]
    )
    | TEXT
)
INTEGERS = st.integers(-(2**63), 2**63 - 1).map(str)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
SCALARS = st.one_of(
    st.fixed_dictionaries({}),
    TEXT.map(lambda text: {"stringValue": text}),
    INTEGERS.map(lambda number: {"intValue": number}),
    DOUBLES.map(lambda number: {"doubleValue": number}),
    st.booleans().map(lambda value: {"boolValue": value}),
    st.binary(max_size=6).map(lambda data: {"bytesValue": base64.b64encode(data).decode()}),
)


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.dictionaries(TEXT, children, max_size=3).map(
        lambda members: [{"key": key, "value": value} for key, value in members.items()]
    )
    return st.one_of(
        st.lists(children, max_size=3).map(lambda values: {"arrayValue": {"values": values}}),
        pairs.map(lambda values: {"kvlistValue": {"values": values}}),
    )


VALUES = st.recursive(SCALARS, _nested, max_leaves=6)
ATTRIBUTES = st.dictionaries(KEY_NAMES, VALUES, max_size=6).map(
    lambda members: [{"key": key, "value": value} for key, value in members.items()]
)
NANOS = st.one_of(
    st.integers(946_684_800_000_000_000, 1_767_000_000_000_000_000).map(str),
    st.sampled_from(["0", "", "1", "yesterday", "-5", "99999999999999999999", "00"]),
)
HEX = st.sampled_from(["", "0" * 16, "00f067aa0ba902b7", "ABCDEF0123456789", "not hex"])
SMALL = st.integers(0, 30)


def _some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


LOGS = _some(
    timeUnixNano=NANOS,
    observedTimeUnixNano=NANOS,
    severityNumber=SMALL,
    severityText=TEXT,
    eventName=TEXT,
    body=VALUES,
    attributes=ATTRIBUTES,
    flags=SMALL,
    traceId=HEX,
    spanId=HEX,
    droppedAttributesCount=SMALL,
)
EVENTS = _some(timeUnixNano=NANOS, name=TEXT, attributes=ATTRIBUTES)
LINKS = _some(traceId=HEX, spanId=HEX, attributes=ATTRIBUTES)
SPANS = _some(
    traceId=HEX,
    spanId=HEX,
    parentSpanId=HEX,
    name=TEXT,
    kind=SMALL,
    startTimeUnixNano=NANOS,
    endTimeUnixNano=NANOS,
    attributes=ATTRIBUTES,
    events=st.lists(EVENTS, max_size=2),
    links=st.lists(LINKS, max_size=1),
    status=_some(code=st.integers(0, 2), message=TEXT),
)
RESOURCES = _some(attributes=ATTRIBUTES)


def _groups(scopes: str, records: str, record: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    scope = _some(**{records: st.lists(record, max_size=3)})
    return st.lists(_some(resource=RESOURCES, **{scopes: st.lists(scope, max_size=2)}), max_size=2)


REQUESTS = st.one_of(
    st.fixed_dictionaries({"resourceLogs": _groups("scopeLogs", "logRecords", LOGS)}),
    st.fixed_dictionaries({"resourceSpans": _groups("scopeSpans", "spans", SPANS)}),
    st.fixed_dictionaries(
        {
            "resourceLogs": _groups("scopeLogs", "logRecords", LOGS),
            "resourceSpans": _groups("scopeSpans", "spans", SPANS),
        }
    ),
)


def read_fast(raw: list[bytes]) -> Flat:
    numbers = np.arange(1, len(raw) + 1, dtype=np.int64)
    return flatten(parse_lines(raw, SCHEMA), numbers)


def read_strictly(raw: list[bytes]) -> Flat:
    reader = StrictReader()
    for number, line in enumerate(raw, 1):
        read = read_line(line)
        assert isinstance(read, dict), read
        assert check_request(read) is None
        reader.add(number, read)
    return reader.build()


def rows_of(flat: Flat, policy: PrivacyPolicy = POLICY) -> Rows:
    return build_rows(flat, STAMP, KEYS, policy, Pseudonyms(KEYS))


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal row for row; nothing in the lake is NaN."""
    return bool(one.to_pylist() == other.to_pylist())


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=3))
def test_both_readers_give_the_same_rows(requests: list[Any]) -> None:
    raw = lines(*requests).split(b"\n")[:-1]
    try:
        fast = rows_of(read_fast(raw))
    except NotPlainError:
        # Deeper than the fast reader goes: the strict one alone decides.
        rows_of(read_strictly(raw))
        return
    strict = rows_of(read_strictly(raw))
    assert fast.rejections == strict.rejections
    assert same(fast.log_records, strict.log_records)
    assert same(fast.spans, strict.spans)


@settings(max_examples=60, deadline=None)
@given(LOGS, st.randoms(use_true_random=False))
def test_order_of_attributes_and_grouping_do_not_change_an_id(record: Any, random: Any) -> None:
    record = {**record, "timeUnixNano": "1700000000000000000", "observedTimeUnixNano": ""}
    attributes = list(record.get("attributes", []))
    random.shuffle(attributes)
    other = {**record, "attributes": attributes}
    raw = lines(request(record), request(log("other"), other)).split(b"\n")[:-1]
    parsed = parse_block([Line(number, line) for number, line in enumerate(raw, 1)], SCHEMA)
    found = {
        (row["line_number"], row["record_number"]): row["event_id"]
        for flat in parsed.flats
        for row in rows_of(flat).log_records.to_pylist()
    }
    assert found[1, 0] == found[2, 1]
    assert found[1, 0] != found[2, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"timeUnixNano": "1700000000000000001"},
        {"observedTimeUnixNano": "1700000000000000001"},
        {"severityNumber": 10},
        {"severityText": "x"},
        {"body": {"stringValue": "x"}},
        {"body": {"intValue": "1"}},
        {"flags": 1},
        {"traceId": "ab" * 16},
        {"spanId": "ab" * 8},
        {"droppedAttributesCount": 1},
        {"eventName": "x"},
        {"attributes": [{"key": "k", "value": {"intValue": "1"}}]},
        {"attributes": [{"key": "k", "value": {"stringValue": "1\x1e"}}]},
        {"attributes": [{"key": "k", "value": {}}]},
        {"somethingNew": 1},
    ],
)
def test_every_part_of_a_record_counts_for_its_id(change: dict[str, Any]) -> None:
    record = {**log(), "attributes": [{"key": "k", "value": {"stringValue": "1"}}]}
    raw = lines(request(record), request({**record, **change})).split(b"\n")[:-1]
    parsed = parse_block([Line(number, line) for number, line in enumerate(raw, 1)], SCHEMA)
    ids = [
        row["event_id"] for flat in parsed.flats for row in rows_of(flat).log_records.to_pylist()
    ]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"resourceLogs":[]} {"resourceLogs":[]}', "invalid_json"),
        (b'{"resourceLogs":[]}{"resourceLogs":[]}', "invalid_json"),
        (b'{"resourceLogs":[],"resourceLogs":[]}', "duplicate_key"),
        (b'{"resourceLogs":[],"x":{"y":1,"y":1}}', "duplicate_key"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"x":NaN}]}]}]}', "invalid_json"),
        (b'{"resourceLogs":[null]}', "not_an_export_request"),
        (b'{"resourceLogs":{}}', "not_an_export_request"),
        (b'{"resourceLogs":"x"}', "not_an_export_request"),
        (b'{"resourceMetrics":[]}', "not_an_export_request"),
        (b"null", "not_an_export_request"),
        (b"{}", "not_an_export_request"),
        (b'{"resourceLogs":[],}', "invalid_json"),
        (b'{"resourceLogs":[]', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"resourceLogs":["\xed\xa0\x80"]}', "invalid_utf8"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (lines(request(log("caf?"))).rstrip().replace(b"?", b"\xe9"), "invalid_utf8"),
        (
            lines(request(log(attributes={"k": 1.5}))).rstrip().replace(b"1.5", b"NaN"),
            "invalid_json",
        ),
        (
            lines(request(log(attributes={"k": 1.5}))).rstrip().replace(b"1.5", b"-Inf"),
            "invalid_json",
        ),
    ],
)
def test_a_line_that_is_no_request_is_refused_alone(line: bytes, reason: str) -> None:
    good = lines(request(log())).rstrip(b"\n")
    parsed = parse_block([Line(1, good), Line(2, line), Line(3, good)], SCHEMA)
    assert [(item.number, refusal.reason) for item, refusal in parsed.refused] == [(2, reason)]
    assert sum(len(flat.logs) for flat in parsed.flats) == 2


@pytest.mark.parametrize(
    "value",
    [
        {"stringValue": 1},
        {"stringValue": "a", "intValue": "1"},
        {"intValue": "one"},
        {"intValue": 1.5},
        {"intValue": True},
        {"doubleValue": "much"},
        {"doubleValue": True},
        {"boolValue": "true"},
        {"bytesValue": "?"},
        {"arrayValue": []},
        "text",
    ],
)
def test_a_value_that_otlp_does_not_know_refuses_its_line(value: Any) -> None:
    raw = lines(request({**log(), "attributes": [{"key": "k", "value": value}]})).rstrip(b"\n")
    parsed = parse_block([Line(1, raw)], SCHEMA)
    assert [refusal.reason for _, refusal in parsed.refused] == ["not_an_export_request"]


def test_a_text_that_looks_like_two_attributes_is_one() -> None:
    two = log(attributes={"a": "1", "b": "2"})
    one = log(attributes={"a": "1\x1eb\x1f0\x1f2"})
    raw = lines(request(one), request(two)).split(b"\n")[:-1]
    parsed = parse_block([Line(number, line) for number, line in enumerate(raw, 1)], SCHEMA)
    rows = [row for flat in parsed.flats for row in rows_of(flat).log_records.to_pylist()]
    assert len({row["event_id"] for row in rows}) == 2


def values_in_the_lake(*values: Any) -> list[tuple[str | None, str | None]]:
    records = [{**log(), "attributes": [{"key": "k", "value": value}]} for value in values]
    parsed = parse_block(
        [Line(number, lines(request(each)).strip()) for number, each in enumerate(records, 1)],
        SCHEMA,
    )
    rows = sorted(
        (row for flat in parsed.flats for row in rows_of(flat).log_records.to_pylist()),
        key=lambda row: row["line_number"],
    )
    return [(dict(row["attributes"])["k"], dict(row["attribute_types"]).get("k")) for row in rows]


def test_values_become_text_with_their_type_beside() -> None:
    assert values_in_the_lake(
        {"stringValue": "x"},
        {"intValue": "12"},
        {"intValue": 12},
        {"intValue": "012"},
        {"doubleValue": 0.1},
        {"doubleValue": 1},
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
        {"doubleValue": -0.0},
        {"boolValue": True},
        {"bytesValue": "AQI="},
        {},
        None,
        {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "ä"}, {}]}},
        {
            "kvlistValue": {
                "values": [
                    {"key": "b", "value": {"doubleValue": 1.5}},
                    {"key": "a", "value": {"boolValue": False}},
                ]
            }
        },
    ) == [
        ("x", None),
        ("12", "int"),
        ("12", "int"),
        ("12", "int"),
        ("0.1", "double"),
        ("1", "double"),
        ("NaN", "double"),
        ("-Infinity", "double"),
        ("0", "double"),
        ("true", "bool"),
        ("AQI=", "bytes"),
        (None, "empty"),
        (None, "empty"),
        ('[1,"ä",null]', "array"),
        ('{"a":false,"b":1.5}', "kvlist"),
    ]


def test_half_a_character_is_replaced_and_the_record_kept() -> None:
    raw = json.dumps(request(log(attributes={"k": "cut \ud83d"}))).encode()
    parsed = parse_block([Line(1, raw)], SCHEMA)
    rows = rows_of(parsed.flats[0]).log_records.to_pylist()
    assert dict(rows[0]["attributes"])["k"] == "cut \ufffd"


def test_a_refused_line_leaves_no_record_behind() -> None:
    bad = request(log(), {**log(), "attributes": [{"key": "k", "value": {"intValue": "x"}}]})
    parsed = parse_block([Line(1, lines(bad).strip())], SCHEMA)
    assert parsed.flats == []
    assert isinstance(parsed.refused[0][1], Refusal)


def test_an_unended_last_line_is_truncated_only_if_it_is_not_json() -> None:
    assert read_line(b'{"resourceLogs":', is_unended=True) == Refusal(
        "truncated_line", "no line feed, and not complete JSON"
    )
    cut_character = read_line(b'{"resourceLogs":[{"\xe2\x82', is_unended=True)
    assert isinstance(cut_character, Refusal)
    assert cut_character.reason == "truncated_line"
    assert read_line(b'{"resourceLogs":[]}', is_unended=True) == {"resourceLogs": []}
