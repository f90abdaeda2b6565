"""What no declaration names is found wherever it stands, and little else is."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from orchestration.ingest import detect, load_inbox, pseudonymize
from tests.orchestration.ingest.otlp import Query, lines, log, request, span_request

if TYPE_CHECKING:
    from pathlib import Path

EMAIL, CARD, KEY = "ada@example.com", "4111 1111 1111 1111", "sk-abcdefghijklmnop1234"

FOUND = {
    "write to ada.b+c@mail.example.co.uk, please": "write to [redacted:email], please",
    "mailto:ADA@EXAMPLE.COM": "mailto:[redacted:email]",
    "?user=ada%40example.com&x=1": "[redacted:email]&x=1",
    "jürgen@bücher.de": "[redacted:email]",
    "ü" * 70 + "@example.com": "ü" * 6 + "[redacted:email]",
    "card 4111 1111 1111 1111.": "card [redacted:card].",
    "4111111111111111": "[redacted:card]",
    "5555-5555-5555-4444": "[redacted:card]",
    "378282246310005": "[redacted:card]",
    "6011111111111117": "[redacted:card]",
    f"Authorization: Bearer {KEY}": "Authorization: Bearer [redacted:api_key]",
    "AKIAIOSFODNN7EXAMPLE": "[redacted:api_key]",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "[redacted:api_key]",
    "xoxb-123456789012-abcdef": "[redacted:api_key]",
    "t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0aaaa.sig_-1": "t=[redacted:api_key]",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "[redacted:private_key]",
}
NOT_FOUND = [
    "4111111111111112",  # wrong check digit
    "1700000000000000000",  # nanoseconds
    "9111111111111111",  # no card begins so
    "41111111111111111111",  # too long
    "a4111111111111111",
    "3.4111111111111111",
    "550e8400-e29b-4111-8111-111111111111",
    "@scope/package",
    "name@sha256:abc",
    "user@host",
    "task-abcdefghijklmnopqrstuvwxyz",
    "sk-short",
    "eyJshort",
    "risk_test_case",
]


@pytest.mark.parametrize(("text", "expected"), FOUND.items())
def test_it_is_found(text: str, expected: str) -> None:
    assert detect.redacted(text) == expected
    assert detect.suspects(pa.array(["", text, "x" * 40])).tolist() == [1]


def test_several_are_found_in_one_text() -> None:
    text = f"{EMAIL},b@c,{EMAIL}@x {EMAIL}{CARD}; {CARD} {KEY}"
    assert detect.redacted(text) == (
        "[redacted:email],b@c,[redacted:email]@x [redacted:email][redacted:card]; "
        "[redacted:card] [redacted:api_key]"
    )


@pytest.mark.parametrize(
    "text", ["a" * 10**6 + "@", "a@" * 10**5, "-eyJ" * 10**6, "sk-" * 10**6, "4 " * 10**6]
)
def test_a_long_text_takes_no_longer_than_its_length(text: str) -> None:
    assert len(detect.redacted(text)) <= len(text)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_it_is_no_find(text: str) -> None:
    assert detect.redacted(text) == text


@pytest.mark.parametrize("shift", range(16))
def test_a_card_is_suspected_at_any_place_of_the_bytes(shift: int) -> None:
    for card in (CARD, "378282246310005"):
        assert detect.suspects(pa.array(["x" * shift, card, "tail"])).tolist() == [1]


def test_numbers_and_bytes_are_looked_into() -> None:
    assert detect.redacted_number("4111111111111111") == "[redacted:card]"
    assert detect.redacted_number("4.111111111111111e+15") == "[redacted:card]"
    assert detect.redacted_number("4.111111111111112e+15") == "4.111111111111112e+15"
    held = base64.b64encode(f"mail {EMAIL}".encode()).decode()
    assert detect.redacted_base64(held) == "[redacted:bytes]"
    assert detect.redacted_base64(held.rstrip("=")) == "[redacted:bytes]"
    assert detect.redacted_base64("a") == "a"
    assert detect.redacted_json(f'{{"a":["{held}","{KEY}"]}}') == (
        '{"a":["[redacted:bytes]","[redacted:api_key]"]}'
    )


def load(home: Path, declarations: Path, *requests: Any) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(lines(*requests))
    load_inbox(home, declarations)


def test_markers_stand_in_values_keys_and_names(
    home: Path, declarations: Path, query: Query
) -> None:
    attributes = {
        "note": f"from {EMAIL}",
        "paid": 4111111111111111,
        "total": 4111111111111111.0,
        "list": {"arrayValue": {"values": [{"stringValue": KEY}]}},
        "raw": {"bytesValue": base64.b64encode(EMAIL.encode()).decode()},
        f"mail.{EMAIL}": "x",
        f"mail.b{EMAIL}": "y",
        "log.record.uid": f"{EMAIL}/1",
    }
    record = log(f"clicked by {EMAIL}", attributes=attributes, spanId="4111111111111111")
    load(home, declarations, request(record, resource={"service.name": KEY}))
    assert query(
        "select event_name, attributes['note'], attributes['paid'], attribute_types['paid'], "
        "attributes['total'], attributes['list'], attributes['raw'], service_name, event_id, "
        "span_id from log_records"
    ) == [
        (
            "clicked by [redacted:email]",
            "from [redacted:email]",
            "[redacted:card]",
            None,
            "[redacted:card]",
            '["[redacted:api_key]"]',
            "[redacted:bytes]",
            "[redacted:api_key]",
            pseudonymize(home, f"{EMAIL}/1"),
            pseudonymize(home, "4111111111111111"),
        )
    ]
    ((keys,),) = query("select map_keys(attributes) from log_records")
    marked = [key for key in keys if key.startswith("[redacted:email]#")]
    assert len(set(marked)) == 2
    assert EMAIL not in "".join(keys)


def test_span_names_and_values_of_spans_are_looked_into(
    home: Path, declarations: Path, query: Query
) -> None:
    span = {"name": f"GET /{CARD}", "startTimeUnixNano": "1700000000000000000"}
    load(home, declarations, span_request(span, resource={"host": EMAIL}))
    assert query("select span_name, attributes['host'] from spans") == [
        ("GET /[redacted:card]", "[redacted:email]")
    ]


def test_an_identifier_in_a_key_of_its_record_is_replaced(
    home: Path, declarations: Path, query: Query
) -> None:
    load(
        home,
        declarations,
        request(
            log("a", attributes={"user.id": "user-0001", "seen.user-0001": "1"}),
            log("b", attributes={"user.id": "user-0002", "seen.user-0001": "1"}),
        ),
    )
    assert query(
        "select event_name, list_filter(map_keys(attributes), lambda k: starts_with(k, 'seen')) "
        "from log_records order by all"
    ) == [("a", [f"seen.{pseudonymize(home, 'user-0001')}"]), ("b", ["seen.user-0001"])]


def test_an_identifier_in_bytes_is_found(home: Path, declarations: Path, query: Query) -> None:
    held = {"bytesValue": base64.b64encode(b"of user-1!").decode()}
    attributes = {
        "user.id": "user-1",
        "raw": held,
        "list": {"arrayValue": {"values": [held, {"bytesValue": "b3RoZXIgYnl0ZXM="}]}},
    }
    load(home, declarations, request(log(attributes=attributes)))
    assert query("select attributes['raw'], attributes['list'] from log_records") == [
        ("[redacted:bytes]", '["[redacted:bytes]","b3RoZXIgYnl0ZXM="]')
    ]


def test_the_name_of_a_file_is_looked_into(home: Path, declarations: Path, query: Query) -> None:
    (home / "inbox" / f"{EMAIL}.jsonl").write_bytes(lines(request(log())) + b"{\n")
    report = load_inbox(home, declarations)
    assert report.files[0].file_name == "[redacted:email]"
    assert query("select file_name from batches union select file_name from rejections") == [
        ("[redacted:email]",)
    ]
    assert (home / "processed" / f"{EMAIL}.jsonl").exists()
