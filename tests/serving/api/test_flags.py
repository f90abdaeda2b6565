"""Decisions and flags: as drawn, as recorded, and as a real OpenFeature client sees them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from serving.api.catalog import Bin, DecisionPoint
from serving.api.decide import context_attributes, context_of, draw
from serving.api.events import trace_of
from serving.buckets import WHOLE, assign
from serving.client import Client
from serving.clock import to_microseconds
from tests.serving.api.served import (
    ANNA,
    AS_OF,
    BERT,
    TRACE,
    TRACEPARENT,
    Served,
    serving,
    stable,
    world,
)
from tests.serving.test_buckets import experiment

POINT = DecisionPoint(
    name="reply-format",
    context_attributes=("task.kind", "size"),
    bins={"size": (Bin("small", None, 10.0), Bin("large", 10.0, None))},
    policies={"all": {"bullets": 0.5, "prose": 0.5}, "fix,small": {"bullets": 0.9, "prose": 0.1}},
    position=0,
    generation=1,
)


@contextmanager
def openfeature(served: Served, **headers: str) -> Iterator[OpenFeatureClient]:
    """A client of the real SDK with its real OFREP provider."""
    sent = {"authorization": f"Bearer {served.token('decide')}", **headers}
    api.set_provider(OFREPProvider(served.base, headers_factory=lambda: sent))
    try:
        yield api.get_client()
    finally:
        api.clear_providers()


def of(user: str, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(targeting_key=user, attributes=attributes)


def test_a_decision_is_answered_with_its_propensity_and_recorded(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        answer = client.get(
            "/v1/decisions/reply-format",
            params={"user_id": ANNA, "context": "fix"},
            headers={"traceparent": TRACEPARENT},
        ).json()
        assert answer["propensity"] == {"bullets": 0.9, "prose": 0.1}[answer["action"]]
        assert (answer["context"], answer["trace_id"]) == ("fix", TRACE)
        (event,) = served.sink.events
        assert event["name"] == answer["event"]["name"] == "feature_flag.evaluation"
        assert event["trace"] == TRACE
        assert event["log.record.uid"] == answer["event_id"]
        assert event["feature_flag.context.id"] == ANNA
        assert event["feature_flag.key"] == "reply-format"
        assert event["feature_flag.result.variant"] == answer["action"]
        assert event["decision.propensity"] == answer["propensity"]
        assert event["task.kind"] == "fix"


def test_a_retry_within_a_trace_draws_the_same(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        headers, params = {"traceparent": TRACEPARENT}, {"user_id": ANNA, "context": "write"}
        path = "/v1/decisions/reply-format"
        same = {
            client.get(path, params=params, headers=headers).json()["action"] for _ in range(10)
        }
        other = [client.get(path, params=params).json() for _ in range(40)]
        assert len(same) == 1
        assert len({each["action"] for each in other}) == 2
        assert len({each["trace_id"] for each in other}) == 40


def test_actions_are_drawn_with_their_propensities() -> None:
    generator = random.Random(7)
    drawn: Counter[tuple[str, float]] = Counter()
    for _ in range(20_000):
        decision = draw(POINT, "fix,small", stable(ANNA), f"{generator.getrandbits(128):032x}")
        assert decision is not None
        drawn[decision.action, decision.propensity] += 1
    assert set(drawn) == {("bullets", 0.9), ("prose", 0.1)}
    assert abs(drawn["bullets", 0.9] / 20_000 - 0.9) < 5 * (0.09 / 20_000) ** 0.5


@pytest.mark.parametrize(
    ("attributes", "context"),
    [
        ({"task.kind": "fix", "size": 3}, "fix,small"),
        ({"task.kind": "fix", "size": "10"}, "fix,large"),
        ({"task.kind": "fix", "size": "unknown"}, "fix,unknown"),
        ({"task.kind": "fix"}, "fix,missing"),
        ({"task.kind": ["fix"], "size": True}, "missing,true"),
        ({}, "missing,missing"),
    ],
)
def test_contexts_are_named_as_the_warehouse_names_them(
    attributes: dict[str, Any], context: str
) -> None:
    assert context_of(POINT, attributes) == context
    assert context_of(POINT, context_attributes(POINT, context)) == context


def test_what_is_no_decision_point_or_context_is_said(shared: Served) -> None:
    with shared.client() as client:
        path = "/v1/decisions/reply-format"
        nowhere = client.get("/v1/decisions/nothing", params={"user_id": ANNA})
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown_decision_point")
        assert client.get(path).status_code == 400
        assert client.get(path, params={"user_id": [ANNA, BERT]}).status_code == 400
        wrong = client.get(path, params={"user_id": ANNA, "context": "a,b"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_context")
        assert client.get(path, params={"user_id": ANNA}).json()["context"] == "missing"


def test_a_real_client_is_served_experiments(tmp_path: Path) -> None:
    with serving(tmp_path) as served, openfeature(served) as client:
        users = [f"user-{number}" for number in range(20)]
        for user in users:
            found = client.get_string_details("answers", "none", of(user, plan="pro"))
            assert (
                found.value == found.variant == assign(experiment("answers"), WHOLE, stable(user))
            )
            assert found.reason == Reason.SPLIT
        assert [e["feature_flag.context.id"] for e in served.sink.events] == users
        assert {e["feature_flag.result.reason"] for e in served.sink.events} == {"split"}
        assert {e["plan"] for e in served.sink.events} == {"pro"}


def test_nobody_outside_an_experiment_is_exposed(tmp_path: Path) -> None:
    with serving(tmp_path) as served, openfeature(served) as client:
        held = client.get_string_details("held", "none", of(ANNA))
        planned = client.get_string_details("planned", "none", of(ANNA))
        assert [(d.value, d.variant, d.reason) for d in (held, planned)] == [
            ("control", "", Reason.DEFAULT),
            ("control", "", Reason.DISABLED),
        ]
        assert served.sink.lines == []


def test_sessions_are_assigned_by_their_own_id(tmp_path: Path) -> None:
    with serving(tmp_path) as served, openfeature(served) as client:
        one = client.get_string_details("sessions", "none", of(ANNA, **{"session.id": "s1"}))
        same = client.get_string_details("sessions", "none", of(BERT, **{"session.id": "s1"}))
        assert one.variant == same.variant
        assert served.sink.events[0]["session.id"] == "s1"
        missing = client.get_string_details("sessions", "none", of(ANNA))
        assert (missing.value, missing.error_code) == ("none", ErrorCode.INVALID_CONTEXT)


def test_a_real_client_is_served_decisions_and_preferences(tmp_path: Path) -> None:
    with serving(tmp_path) as served, openfeature(served, traceparent=TRACEPARENT) as client:
        decided = client.get_string_details("reply-format", "x", of(ANNA, **{"task.kind": "fix"}))
        assert decided.flag_metadata["propensity"] == {"bullets": 0.9, "prose": 0.1}[decided.value]
        assert served.sink.events[0]["trace"] == TRACE
        assert served.sink.events[0]["decision.propensity"] == decided.flag_metadata["propensity"]
        everywhere = client.get_string_details("format", "x", of(ANNA))
        fixing = client.get_string_details("format", "x", of(ANNA, **{"task.kind": "fix"}))
        unknown = client.get_string_details("format", "x", of("nobody"))
        assert [(d.value, d.reason) for d in (everywhere, fixing, unknown)] == [
            ("bullets", Reason.TARGETING_MATCH),
            ("prose", Reason.TARGETING_MATCH),
            ("prose", Reason.DEFAULT),
        ]
        assert len(served.sink.lines) == 1


def test_a_real_client_gets_its_default_where_something_is_wrong(tmp_path: Path) -> None:
    with serving(tmp_path) as served, openfeature(served) as client:
        for key, context, code in (
            ("nothing", of(ANNA), ErrorCode.FLAG_NOT_FOUND),
            ("answers", EvaluationContext(), ErrorCode.TARGETING_KEY_MISSING),
        ):
            found = client.get_string_details(key, "mine", context)
            assert (found.value, found.reason, found.error_code) == ("mine", Reason.ERROR, code)
        wrong_type = client.get_boolean_details("answers", False, of(ANNA))
        assert wrong_type.error_code == ErrorCode.TYPE_MISMATCH
        served.sink.trouble = "the disk is full"
        assert client.get_string_details("answers", "mine", of(ANNA)).value == "mine"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b'{"context":[]}', "INVALID_CONTEXT"),
        (b'{"context":{}}', "TARGETING_KEY_MISSING"),
        (b'{"context":{"targetingKey":7}}', "TARGETING_KEY_MISSING"),
        (b'{"context":{"targetingKey":"a\\u0000"}}', "INVALID_CONTEXT"),
    ],
)
def test_errors_are_those_of_the_protocol(shared: Served, body: bytes, code: str) -> None:
    with shared.client() as client:
        one = client.post("/ofrep/v1/evaluate/flags/answers", content=body)
        every = client.post("/ofrep/v1/evaluate/flags", content=body)
    assert (one.status_code, every.status_code) == (400, 400)
    assert (one.json()["errorCode"], every.json()["errorCode"]) == (code, code)
    assert one.json()["key"] == "answers"
    assert "key" not in every.json()


def test_every_flag_with_an_etag(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        path, asked = "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": ANNA}}
        first = client.post(path, json=asked)
        flags = {flag["key"]: flag for flag in first.json()["flags"]}
        assert set(flags) == {
            "answers", "planned", "held", "sessions", "reply-format", "style", "format", "model",
        }  # fmt: skip
        assert flags["sessions"]["errorCode"] == "INVALID_CONTEXT"
        # told of all flags nobody is exposed yet, nor has anybody acted on a decision
        assert served.sink.lines == []
        told = flags["reply-format"]["metadata"]
        assert (told["propensity"], told["position"], told["context"]) == (0.5, 0, "missing")
        again = client.post(path, json=asked, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        client.put(
            f"/v1/users/{ANNA.replace('/', '%2F')}/preferences/style", json={"value": "detailed"}
        )
        changed = client.post(path, json=asked, headers={"if-none-match": first.headers["etag"]})
        assert changed.status_code == 200
        assert changed.headers["etag"] != first.headers["etag"]


def test_what_is_stale_alone_is_marked_alone(tmp_path: Path) -> None:
    keys = {"hot_experiments": "answers", "hot_policy_arms": "reply-format"}
    with serving(tmp_path) as served, served.client() as client:
        for stale in keys:
            with apsw.Connection(str(tmp_path / "cache.sqlite")) as file:
                file.execute(
                    "update views set as_of_us = ? - 30 * 3600000000 * (view = ?)",
                    (to_microseconds(AS_OF), stale),
                )
            served.settle()
            for view, key in keys.items():
                asked = {"context": {"targetingKey": ANNA}}
                flag = client.post(f"/ofrep/v1/evaluate/flags/{key}", json=asked).json()
                is_stale = view == stale
                assert flag["reason"] == ("STALE" if is_stale else "SPLIT")
                assert flag["metadata"]["is_stale"] is is_stale
                assert flag["metadata"]["age_hours"] == (32.0 if is_stale else 2.0)
                assert served.sink.events[-1]["feature_flag.result.reason"] == (
                    "stale" if is_stale else "split"
                )
            decision = client.get("/v1/decisions/reply-format", params={"user_id": ANNA}).json()
            assert decision["freshness"]["is_stale"] is (stale == "hot_policy_arms")
            path = f"/v1/users/{ANNA.replace('/', '%2F')}/profile"
            assert client.get(path).json()["is_default"] is False


def test_an_etag_outlives_age_but_not_staleness(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        path, asked = "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": ANNA}}
        first = client.post(path, json=asked)
        matching = {"if-none-match": first.headers["etag"]}
        for hours, status in ((20, 304), (27, 200)):
            served.clock[0] = AS_OF + timedelta(hours=hours)
            served.settle()
            assert client.post(path, json=asked, headers=matching).status_code == status


def test_an_api_without_a_cache_knows_what_it_last_read(tmp_path: Path) -> None:
    asked = {"context": {"targetingKey": ANNA}}
    with serving(tmp_path) as served, served.client() as client:
        before = client.post("/ofrep/v1/evaluate/flags", json=asked).json()
    kept = tmp_path / "catalog.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert stable(ANNA).encode() not in kept.read_bytes()
    for file in tmp_path.glob("cache.sqlite*"):
        file.unlink()
    with serving(tmp_path, views={}) as served, served.client() as client:
        after = client.post("/ofrep/v1/evaluate/flags", json=asked).json()
        decided = [each for each in before["flags"] if each["key"] in ("answers", "reply-format")]
        assert len(decided) == 2
        assert all(each in after["flags"] for each in decided)


@pytest.mark.parametrize("kept", [b"", b"[]", b'{"metas":{},"rows":{}}'])
def test_where_no_catalog_is_known_nobody_says_that_a_flag_does_not_exist(
    tmp_path: Path, kept: bytes
) -> None:
    (tmp_path / "catalog.json").write_bytes(kept)
    asked = {"context": {"targetingKey": ANNA}}
    with serving(tmp_path, views={}) as served, served.client() as client:
        for path in ("/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/answers"):
            answer = client.post(path, json=asked)
            assert (answer.status_code, answer.json()["errorCode"]) == (503, "PROVIDER_NOT_READY")
            assert answer.headers["retry-after"] == "1"
        told = client.get("/openapi.json").json()["paths"]["/ofrep/v1/evaluate/flags"]["post"]
        assert "503" in told["responses"]
        decision = client.get("/v1/decisions/reply-format", params={"user_id": ANNA})
        assert (decision.status_code, decision.json()["code"]) == (503, "not_ready")
        served.fill(world())
        assert client.post("/ofrep/v1/evaluate/flags", json=asked).status_code == 200


def test_what_the_api_writes_cannot_be_written_for_it(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        context = {
            "targetingKey": ANNA,
            "feature_flag.key": "other",
            "decision.propensity": 1,
            "user.id": BERT,
            "long": "x" * 300,
            "list": [1],
        }
        client.post("/ofrep/v1/evaluate/flags/answers", json={"context": context})
        (event,) = served.sink.events
        assert event["feature_flag.key"] == "answers"
        assert event["feature_flag.context.id"] == ANNA
        assert not {"decision.propensity", "user.id", "long", "list"} & event.keys()


def test_a_user_speaks_for_no_session_or_organization(tmp_path: Path) -> None:
    context = {
        "targetingKey": ANNA,
        "session.id": "else",
        "organization.id": "other",
        "plan": "pro",
    }
    with serving(tmp_path) as served:
        for user, statuses in ((ANNA, [200, 200, 403]), (None, [200, 200, 200])):
            del served.sink.lines[:]
            with served.client(served.token("decide", user=user)) as client:
                answers = [
                    client.post(f"/ofrep/v1/evaluate/flags/{key}", json={"context": context})
                    for key in ("answers", "reply-format", "sessions")
                ]
                every = client.post("/ofrep/v1/evaluate/flags", json={"context": context}).json()
            assert [each.status_code for each in answers] == statuses
            (session,) = (each for each in every["flags"] if each["key"] == "sessions")
            assert ("errorCode" in session) == (user is not None)
            for event in served.sink.events:
                assert event["plan"] == "pro"
                assert ({"session.id", "organization.id"} <= event.keys()) == (user is None)


def test_an_event_has_so_many_attributes_and_no_more(tmp_path: Path) -> None:
    context = {"targetingKey": ANNA, **{f"a{number}": "x" * 250 for number in range(1500)}}
    with serving(tmp_path) as served, served.client() as client:
        client.post("/ofrep/v1/evaluate/flags/answers", json={"context": {**context, "n" * 300: 1}})
        (line,) = served.sink.lines
        assert len(line) < 32 * 1024
        assert len([name for name in served.sink.events[0] if name.startswith("a")]) == 64


def test_the_client_in_process_sees_the_same_profile(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client, Client(served.url) as own:
        path = f"/v1/users/{ANNA.replace('/', '%2F')}"
        assert own.profile(stable("nobody")) is None
        for _ in range(2):
            stored = own.profile(stable(ANNA))
            assert stored is not None
            assert client.get(f"{path}/profile").content.startswith(b'{"profile":' + stored)
            client.put(f"{path}/preferences/style", json={"value": "detailed"})
        client.post(f"{path}/erasure")
        assert own.profile(stable(ANNA)) is None


@pytest.mark.parametrize(
    ("text", "trace_id"),
    [
        (TRACEPARENT, TRACE),
        (TRACEPARENT.replace("00-", "ff-", 1), ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (TRACEPARENT.upper(), ""),
        ("", ""),
        ("00-1-2-3", ""),
    ],
)
def test_traces_are_read_as_w3c_writes_them(text: str, trace_id: str) -> None:
    assert trace_of(text).trace_id == trace_id
