"""No raw identifier, personal value or content passes the front door."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingest import IngestError, KeyFileError, load_inbox, pseudonymize
from orchestration.ingest.keys import load_keys
from orchestration.ingest.privacy import Privacy, load_privacy
from tests.orchestration.ingest.otlp import Query, attribute, lines, log, request, span_request

NANOS = "1700000000000000000"


def load(home: Path, declarations: Path, *requests: Any, name: str = "a.jsonl") -> None:
    (home / "inbox" / name).write_bytes(lines(*requests))
    load_inbox(home, declarations)


def lake_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (home / "lake").rglob("*.parquet"))


@pytest.fixture
def own_declarations(tmp_path: Path, declarations: Path) -> Path:
    folder = tmp_path / "declarations"
    shutil.copytree(declarations, folder)
    return folder


def plan(declarations: Path, *rows: tuple[str, str, str]) -> None:
    with (declarations / "catalog" / "tracking_plan.csv").open("a", newline="") as file:
        for event, name, privacy in rows:
            csv.writer(file).writerow([event, name, "string", "false", privacy, "operations", "x"])


def test_units_are_taken_in_their_order_from_record_then_resource(
    home: Path, declarations: Path, query: Query
) -> None:
    load(
        home,
        declarations,
        request(
            log("both", attributes={"user.id": "user-1", "feature_flag.context.id": "unit-1"}),
            log("user", attributes={"user.id": "user-1", "session.id": "session-1"}),
            log("empty", attributes={"user.id": ""}),
            log("pseudo", attributes={"user.id": "", "enduser.pseudo.id": "pseudo-1"}),
            resource={"user.id": "resource-user", "session.id": "resource-session"},
        ),
        request(log("nobody")),
    )
    rows = query("select event_name, user_id, session_id from log_records")
    expected = {
        "both": ("unit-1", "resource-session"),
        "user": ("user-1", "session-1"),
        "empty": ("resource-user", "resource-session"),
        "pseudo": ("resource-user", "resource-session"),
        "nobody": (None, None),
    }
    for name, user, session in rows:
        raw_user, raw_session = expected[name]
        assert user == (raw_user and pseudonymize(home, raw_user)), name
        assert session == (raw_session and pseudonymize(home, raw_session)), name


def test_a_span_event_takes_user_and_session_from_its_span(
    home: Path, declarations: Path, query: Query
) -> None:
    span = {
        "traceId": "AB" * 16,
        "spanId": "cd" * 8,
        "name": "chat for user-1",
        "startTimeUnixNano": NANOS,
        "endTimeUnixNano": "1700000000250000000",
        "attributes": [attribute("user.id", "user-1"), attribute("other", "of the span")],
        "events": [
            {"timeUnixNano": NANOS, "name": "first", "attributes": []},
            {"name": "second", "attributes": [attribute("user.id", "user-2")]},
        ],
        "status": {"code": 2, "message": "secret text of user-1"},
    }
    load(home, declarations, span_request(span, resource={"session.id": "session-1"}))
    events = query(
        "select event_name, event_number, user_id, session_id, trace_id, attributes['other'], "
        "epoch_us(occurred_at) from log_records order by event_number"
    )
    session = pseudonymize(home, "session-1")
    micros = int(NANOS) // 1_000
    assert events == [
        ("first", 0, pseudonymize(home, "user-1"), session, "ab" * 16, None, micros),
        ("second", 1, pseudonymize(home, "user-2"), session, "ab" * 16, None, micros),
    ]
    assert query("select status, duration_ms, span_name, event_name from spans") == [
        ("error", 250.0, f"chat for {pseudonymize(home, 'user-1')}", "span")
    ]
    assert b"secret text" not in lake_bytes(home)
    assert b"user-1" not in lake_bytes(home)


def test_an_identifier_inside_another_text_is_replaced(
    home: Path, declarations: Path, query: Query
) -> None:
    attributes = {
        "user.id": 'us"er-1',
        "session.id": "se",
        "path": 'home/us"er-1/se',
        "log.record.uid": "se",
        "count": 12,
        "list": {"arrayValue": {"values": [{"stringValue": 'us"er-1'}]}},
    }
    load(home, declarations, request(log('clicked by us"er-1', attributes=attributes)))
    pseudonym = pseudonymize(home, 'us"er-1')
    assert query(
        "select event_name, attributes['path'], attributes['list'], attributes['count'], event_id, "
        "has_record_uid from log_records"
    ) == [
        (
            f"clicked by {pseudonym}",
            f"home/{pseudonym}/se",
            f'["{pseudonym}"]',
            "12",
            pseudonymize(home, "se"),
            True,
        )
    ]


def test_two_identifiers_in_one_text_are_both_replaced_once(
    home: Path, declarations: Path, query: Query
) -> None:
    attributes = {"user.id": "abc", "session.id": "abc-1", "k": "abc-1/abc"}
    load(home, declarations, request(log(attributes=attributes)))
    assert query("select attributes['k'] from log_records") == [
        (f"{pseudonymize(home, 'abc-1')}/{pseudonymize(home, 'abc')}",)
    ]


def test_content_and_bodies_are_dropped_and_personal_values_hashed(
    home: Path, declarations: Path, query: Query
) -> None:
    record = log(
        attributes={"gen_ai.input.messages": "secret prompt", "user.email": "a@example.com"},
        body={"stringValue": "secret body"},
    )
    load(home, declarations, request(record, resource={"user.name": "Ada Lovelace"}))
    assert query(
        "select map_contains(attributes, 'gen_ai.input.messages'), attributes['user.email'], "
        "attributes['user.name'] from log_records"
    ) == [(False, pseudonymize(home, "a@example.com"), pseudonymize(home, "Ada Lovelace"))]
    for raw in (b"secret", b"example.com", b"Lovelace"):
        assert raw not in lake_bytes(home)


def test_the_plan_wins_over_the_catalog_for_its_event_under_any_name(
    home: Path, own_declarations: Path, query: Query
) -> None:
    plan(
        own_declarations,
        ("feature_flag.evaluation", "feature_flag.result.variant", "personal"),
        ("gen_ai.chat", "gen_ai.tool.call.result", "none"),
        ("*", "note", "content"),
        ("kept", "note", "none"),
    )
    span = {
        "startTimeUnixNano": NANOS,
        "attributes": [
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.tool.call.result", "kept by plan"),
        ],
    }
    load(
        home,
        own_declarations,
        request(
            log("feature_flag", attributes={"feature_flag.variant": "blue", "note": "gone"}),
            log("kept", attributes={"note": "stays", "feature_flag.variant": "blue"}),
        ),
        span_request(span),
    )
    assert query(
        "select event_name, attributes['feature_flag.variant'], attributes['note'] "
        "from log_records order by all"
    ) == [
        ("feature_flag", pseudonymize(home, "blue"), None),
        ("kept", "blue", "stays"),
    ]
    assert query("select attributes['gen_ai.tool.call.result'] from spans") == [("kept by plan",)]


def test_no_plan_lets_an_identifier_pass(own_declarations: Path) -> None:
    plan(
        own_declarations, ("shop.order", "user.id", "none"), ("shop.order", "gen_ai.prompt", "none")
    )
    policy = load_privacy(own_declarations)
    assert policy.of("shop.order", "user.id") is Privacy.IDENTIFIER
    assert policy.of("shop.order", "gen_ai.prompt") is Privacy.NONE


def test_what_is_part_of_an_attribute_is_as_private_as_it(declarations: Path) -> None:
    policy = load_privacy(declarations)
    assert policy.of("span", "gen_ai.prompt.0.content") is Privacy.CONTENT
    assert policy.of("span", "client.address.v6") is Privacy.PERSONAL
    assert policy.of("span", "user.id.previous") is Privacy.IDENTIFIER
    assert policy.of("span", "gen_ai.prompt.name") is Privacy.NONE
    assert policy.of("span", "gen_ai.request.model") is Privacy.NONE


def test_a_wrong_declaration_names_file_and_line(own_declarations: Path) -> None:
    plan(own_declarations, ("x", "y", "secret"))
    with pytest.raises(IngestError, match=r"tracking_plan\.csv, line \d+: privacy must be one of"):
        load_privacy(own_declarations)
    (own_declarations / "catalog" / "tracking_plan.csv").unlink()
    with pytest.raises(IngestError, match="is missing"):
        load_privacy(own_declarations)


def test_a_trace_id_that_is_no_hex_is_hashed(home: Path, declarations: Path, query: Query) -> None:
    load(home, declarations, request(log(traceId="somebody", spanId="0" * 16)))
    assert query("select trace_id, span_id from log_records") == [
        (pseudonymize(home, "somebody"), None)
    ]


def test_the_key_is_made_once_private_and_used_again(
    home: Path, declarations: Path, query: Query
) -> None:
    load(home, declarations, request(log(attributes={"user.id": "user-1"})))
    key_file = home / "key.json"
    first = key_file.read_bytes()
    assert key_file.stat().st_mode & 0o777 == 0o600
    load(home, declarations, request(log("b", attributes={"user.id": "user-1"})), name="b.jsonl")
    assert key_file.read_bytes() == first
    assert query("select count(distinct user_id) from log_records") == [(1,)]
    assert "p" * 8 not in repr(load_keys(key_file))


def test_a_lost_key_stops_ingest_instead_of_making_strangers(
    home: Path, declarations: Path
) -> None:
    load(home, declarations, request(log()))
    (home / "key.json").unlink()
    (home / "inbox" / "b.jsonl").write_bytes(lines(request(log("b"))))
    with pytest.raises(KeyFileError, match="restore the file"):
        load_inbox(home, declarations)
    assert not (home / "key.json").exists()
    assert (home / "inbox" / "b.jsonl").exists()


def test_a_key_file_that_others_may_read_or_that_is_broken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    load_keys(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(path)
    path.chmod(0o600)
    path.write_text('{"active": "k1", "keys": {"k1": "ab"}, "event_id_key": "cd"}')
    with pytest.raises(KeyFileError, match="is not a key file"):
        load_keys(path)


def test_another_key_file_is_taken_from_the_environment(
    home: Path, declarations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTUNE_KEY_FILE", str(tmp_path / "elsewhere" / "key.json"))
    load(home, declarations, request(log()))
    assert (tmp_path / "elsewhere" / "key.json").exists()
    assert not (home / "key.json").exists()
