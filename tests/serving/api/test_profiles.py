"""What is served, of what age, and what is served instead when the cache fails."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.api.cache import Cache
from serving.api.metrics import Metrics
from serving.api.profiles import Profiles
from serving.api.tokens import revoke_token
from serving.store import Control, open_store
from tests.serving.api.served import (
    ANNA,
    AS_OF,
    BERT,
    NOW,
    UNKNOWN,
    Served,
    eventually,
    experiment,
    preference,
    profile,
    pseudonyms,
    serving,
    stable,
    world,
)
from tests.serving.conftest import cluster_of_one


def get(served: Served, user: str, what: str = "profile", token: str | None = None) -> Any:
    with served.client(token) as client:
        answer = client.get(f"/v1/users/{quote(user, safe='')}/{what}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def test_a_profile_is_the_stored_bytes_with_their_age(shared: Served) -> None:
    with shared.client() as client:
        answer = client.get(f"/v1/users/{quote(ANNA, safe='')}/profile")
    stored = json.dumps(world()["hot_user_profiles"][stable(ANNA)])
    assert answer.content.startswith(b'{"profile":' + stored.encode() + b",")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["freshness"]["as_of"] == "2026-03-10T00:00:00Z"
    assert answer.json()["freshness"]["age_hours"] == 2.0
    assert answer.json()["generation"] == 1


def test_a_user_of_whom_nothing_is_known_gets_defaults_that_say_so(shared: Served) -> None:
    answer = get(shared, UNKNOWN)
    assert (answer["is_default"], answer["default_reason"]) == (True, "unknown_user")
    assert {p["dimension"]: p["value"] for p in answer["profile"]["preferences"]} == {
        "style": "detailed",
        "format": "prose",
        "model": "small",
    }
    assert answer["profile"]["consent"]["personalization"] is False


def test_a_user_under_the_newest_key_is_found_too(tmp_path: Path) -> None:
    views = world()
    views["hot_user_profiles"] = {pseudonyms("carl")[0]: profile(preference("style", "concise"))}
    with serving(tmp_path, views=views) as served:
        assert get(served, "carl")["is_default"] is False
        with served.client() as client:
            client.put("/v1/users/carl/preferences/style", json={"value": "detailed"})
        assert get(served, "carl")["profile"]["preferences"][-1]["kind"] == "stated"


def test_many_profiles_are_those_of_each(shared: Served) -> None:
    with shared.client() as client:
        answer = client.post("/v1/profiles", json={"user_ids": [ANNA, BERT, UNKNOWN, ANNA]}).json()
        assert client.post("/v1/profiles", json={"user_ids": ["x"] * 1001}).status_code == 400
    assert list(answer["profiles"]) == [ANNA, BERT, UNKNOWN]
    for user in (ANNA, BERT, UNKNOWN):
        alone = get(shared, user)
        del alone["freshness"]
        assert answer["profiles"][user] == alone


def test_why_says_it_in_words(shared: Served) -> None:
    answer = get(shared, ANNA, "why")
    said = next(each for each in answer["preferences"] if each["dimension"] == "style")
    assert said["reason_lines"] == [
        "style is concise: inferred, score 0.80 (0.70 to 0.90), from 12 signals",
        "Signals from you: 12.",
    ]
    assert {each["dimension"] for each in answer["dimensions"]} == {"style", "format", "model"}


def test_a_stale_cache_gives_defaults_but_the_users_own_word_holds(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        with served.client() as client:
            client.put(
                f"/v1/users/{quote(ANNA, safe='')}/consents/measurement", json={"granted": False}
            )
        served.clock[0] = AS_OF + timedelta(hours=27)
        served.settle()
        answer = get(served, ANNA)
        assert (answer["is_default"], answer["default_reason"]) == (True, "stale")
        assert answer["freshness"]["is_stale"] is True
        assert answer["profile"]["consent"]["measurement"] is False
        assert {p["kind"] for p in answer["profile"]["preferences"]} == {"default"}
        with served.client() as client:
            flag = client.post(
                "/ofrep/v1/evaluate/flags/style", json={"context": {"targetingKey": ANNA}}
            ).json()
        assert (flag["value"], flag["reason"]) == ("detailed", "STALE")


def test_a_bad_declaration_leaves_the_rest_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad: list[tuple[str, str, Any]] = [
        ("hot_experiments", "answers", {"experiment_name": "answers"}),
        ("hot_experiments", "answers", []),
        ("hot_experiments", "answers", experiment("answers", started_at="soon")),
        ("hot_experiments", "answers", experiment("answers", holdout_share="much")),
        ("hot_preference_dimensions", "style", {"dimension": "style"}),
        ("hot_consent_purposes", "measurement", {"purpose": "measurement"}),
        ("hot_decision_points", "reply-format", {"decision_point": "reply-format"}),
    ]
    with serving(tmp_path) as served:
        for view, key, row in bad:
            views = world()
            views[view][key] = row
            served.fill(views)
            # never a failure, and never as if nothing were wrong
            assert get(served, ANNA)["default_reason"] == "cache_unavailable", view
            with served.client() as client:
                assert client.get("/v1/users/x/why").status_code == 200
                asked = {"context": {"targetingKey": ANNA}}
                assert client.post("/ofrep/v1/evaluate/flags", json=asked).status_code == 200
            served.clock[0] = AS_OF + timedelta(hours=100)
            served.settle()
            assert get(served, ANNA)["freshness"]["is_stale"] is True
            served.clock[0] = NOW
            token = served.token("read")
            assert get(served, UNKNOWN, token=token)["is_default"] is True
        served.fill(world())
        assert get(served, ANNA)["is_default"] is False
    assert "declarations that cannot be read" in caplog.text


def test_a_look_that_fails_for_whatever_reason_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as served:
        look, failures = Cache.look, list[int]()

        async def fail_at_first(cache: Cache) -> None:
            if cache.url == served.url and len(failures) < 3:
                failures.append(1)
                raise RuntimeError("a bug")
            await look(cache)

        monkeypatch.setattr(Cache, "look", fail_at_first)
        served.settle()
        assert len(failures) == 3
        served.fill(world(), NOW)
        assert get(served, ANNA)["freshness"]["as_of"] == "2026-03-10T02:00:00Z"
    assert [r.levelname for r in caplog.records if "_look failed" in r.message] == ["ERROR"]


def test_age_and_tokens_do_not_wait_for_a_look_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as served:
        kept, revoked = served.token("read"), served.token("read")
        look, hanging = Cache.look, asyncio.Event()

        async def hang(cache: Cache) -> None:
            await (hanging.wait() if cache.url == served.url else look(cache))

        monkeypatch.setattr(Cache, "look", hang)
        served.clock[0] = AS_OF + timedelta(hours=100)
        revoke_token(served.settings.token_file, revoked.split("_")[1])
        path = f"/v1/users/{quote(ANNA, safe='')}/profile"
        with served.client(kept) as client, served.client(revoked) as refused:
            eventually(lambda: refused.get(path).status_code == 401)
            eventually(lambda: client.get(path).json()["default_reason"] == "stale")
            assert client.get(path).json()["freshness"]["age_hours"] == 100.0


def test_what_becomes_stale_says_so_once_and_once_when_it_is_fresh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with serving(tmp_path) as served:
        for hours in (27, 28):
            served.clock[0] = AS_OF + timedelta(hours=hours)
            served.settle()
        served.fill(world(), served.clock[0])
    said = [r.message for r in caplog.records if "hot_user_profiles" in r.message]
    assert [text.split(":")[0] for text in said] == ["stale", "fresh again"]
    assert "hot_user_profiles (27.0 hours, 26 allowed)" in said[0]


def test_a_cache_that_lost_everything_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with serving(tmp_path) as served:
        for file in tmp_path.glob("cache.sqlite*"):
            file.unlink()
        # what a clean-up after an erasure does, or a server that starts again without its files
        with open_store(served.url) as store:
            store.erase([stable(BERT)])
        served.settle()
        said = [r.message for r in caplog.records if "hot_user_profiles" in r.message]
        assert said == [
            "stale: hot_user_profiles (the cache holds none: it was never synced, or was emptied)"
        ]
        assert get(served, ANNA)["freshness"]["is_stale"] is True
        (tmp_path / "ledger.duckdb").unlink()
        served.fill(world())
        assert get(served, ANNA)["is_default"] is False
    said = [r.message for r in caplog.records if "hot_user_profiles" in r.message]
    assert said[1].startswith("fresh again: hot_user_profiles (2.0 hours")


def test_a_cache_that_goes_gives_defaults_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as served:
        assert get(served, ANNA)["is_default"] is False
        cache = tmp_path / "cache.sqlite"
        cache.rename(tmp_path / "away")
        with caplog.at_level(logging.ERROR):
            served.settle()
        answer = get(served, ANNA)
        assert (answer["is_default"], answer["default_reason"]) == (True, "cache_unavailable")
        # what was declared is still known
        assert len(answer["profile"]["preferences"]) == 3
        assert [r.levelname for r in caplog.records if "cache" in r.message] == ["ERROR"]
        with served.client() as client:
            assert "attune_cache_up 0.0" in client.get("/metrics").text
            assert client.get("/readyz").json()["cache"] == "unavailable"
            path = f"/v1/users/{quote(ANNA, safe='')}/preferences/style"
            assert client.put(path, json={"value": "concise"}).status_code == 503
        assert served.sink.lines == []
        (tmp_path / "away").rename(cache)
        served.settle()
        assert get(served, ANNA)["is_default"] is False


def test_an_api_without_any_cache_answers(tmp_path: Path) -> None:
    with serving(tmp_path, views={}) as served:
        answer = get(served, ANNA)
        assert answer["default_reason"] == "cache_unavailable"
        assert answer["profile"] == {"preferences": [], "segments": {}, "consent": {}}
        served.fill(world())
        assert get(served, ANNA)["is_default"] is False


def test_a_replaced_cache_file_is_noticed(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert get(served, ANNA)["is_default"] is False
        for file in tmp_path.glob("cache.sqlite*"):
            file.unlink()
        (tmp_path / "ledger.duckdb").unlink()
        views = world()
        views["hot_user_profiles"] = {stable(BERT): profile(preference("style", "concise"))}
        served.fill(views)
        assert get(served, ANNA)["default_reason"] == "unknown_user"
        assert get(served, BERT)["is_default"] is False


def test_a_sync_is_served_without_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        views = world()
        views["hot_user_profiles"][stable(ANNA)] = profile(preference("style", "detailed"))
        served.fill(views, NOW)
        answer = get(served, ANNA)
        assert answer["profile"]["preferences"][0]["value"] == "detailed"
        assert answer["freshness"]["as_of"] == "2026-03-10T02:00:00Z"


def test_controls_that_another_process_wrote_are_served(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        empty = {"dimension": None, "context": "all", "value": None}
        said = {"kind": "consent_changed", "purpose": "personalization", "granted": False, **empty}
        with open_store(served.url) as store:
            store.add_control(Control(stable(ANNA), "1", json.dumps(said).encode()))
        assert get(served, ANNA)["profile"]["preferences"] == []


@pytest.mark.parametrize("store_kind", ["sqlite", "valkey"])
def test_no_identifier_is_logged(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    store_kind: str,
) -> None:
    def broken(_: Profiles, __: Served) -> None:
        raise ZeroDivisionError

    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        url = None
        if store_kind == "valkey":
            # a cluster's keys are asked for one by one, and its errors may quote them
            server = stack.enter_context(cluster_of_one())
            url = f"redis://127.0.0.1:{server.port}/0"
        served = stack.enter_context(serving(tmp_path, url=url))
        client = stack.enter_context(served.client())
        for user in (ANNA, BERT, UNKNOWN):
            path = f"/v1/users/{quote(user, safe='')}"
            client.get(f"{path}/profile")
            client.put(f"{path}/preferences/style", json={"value": "wrong"})
            client.post(f"{path}/erasure")
            client.get(f"/v1/decisions/reply-format?user_id={quote(user)}&context=fix")
        served.sink.trouble = "the disk is full"
        client.put(f"/v1/users/{quote(BERT)}/consents/measurement", json={"granted": True})
        if store_kind == "valkey":
            with redis.Redis(port=server.port) as admin:
                admin.acl_setuser("default", enabled=True, commands=["-get"])
        else:
            (tmp_path / "cache.sqlite").unlink()
            served.settle()
        assert client.post("/v1/profiles", json={"user_ids": [ANNA, UNKNOWN]}).status_code == 200
        metrics = client.get("/metrics").text
        # a bug, whose traceback is logged, and a request that is no HTTP
        monkeypatch.setattr(Profiles, "why", broken)
        for user in (ANNA, BERT, UNKNOWN):
            assert client.get(f"/v1/users/{quote(user, safe='')}/why").status_code == 500
            with socket.create_connection(("127.0.0.1", served.port)) as raw:
                raw.sendall(f"GET /v1/users/{user}/profile\r\n\r\n".encode())
                raw.recv(1)
    # the requests that this test makes are the client's to log, under its own names
    formatter = logging.Formatter()
    own = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    assert {"serving.api.cache", "uvicorn.error"} <= {record.name for record in own}
    logged = "\n".join(map(formatter.format, own)) + metrics
    assert "Traceback" in logged
    for user in (ANNA, BERT, UNKNOWN):
        for word in (user, quote(user, safe=""), *pseudonyms(user)):
            assert word not in logged


def test_health_and_readiness(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("") as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").status_code == 200
        served.sink.is_running = False
        assert client.get("/readyz").status_code == 503


def test_metrics_count_by_route(shared: Served) -> None:
    get(shared, ANNA)
    get(shared, ANNA, "why")
    with shared.client() as client:
        client.get("/nowhere")
        text = client.get("/metrics").text
    for line in (
        'attune_requests_total{route="profile",status="200"}',
        'attune_requests_total{route="why",status="200"}',
        'attune_requests_total{route="none",status="404"}',
        "attune_cache_age_hours 2.0",
        "attune_cache_up 1.0",
    ):
        assert line in text


def test_times_are_told_by_upper_bounds() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.003, 9.0):
        metrics.answers.count("profile", 200, seconds)
    metrics.answers.count("profile", 404, 0.5)
    lines = metrics.text().decode().splitlines()
    for bound, number in (("0.0001", 1), ("0.0025", 1), ("0.005", 2), ("0.5", 3), ("+Inf", 4)):
        line = f'attune_request_seconds_bucket{{le="{bound}",route="profile"}} {number}.0'
        assert line in lines
    assert 'attune_request_seconds_count{route="profile"} 4.0' in lines
    assert 'attune_request_seconds_sum{route="profile"} 9.5031' in lines
    assert 'attune_requests_total{route="profile",status="200"} 3.0' in lines
    assert 'attune_requests_total{route="profile",status="404"} 1.0' in lines


@pytest.fixture(scope="module")
def fuzzed(shared: Served) -> Iterator[httpx.Client]:
    with shared.client() as client:
        yield client


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(max_size=40),
    st.sampled_from(
        ["profile", "why", "export", "preferences/style", "consents/x", "erasure", "x"]
    ),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda more: (
            st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=8), more, max_size=3)
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_request_makes_it_fail(
    fuzzed: httpx.Client, user: str, what: str, method: str, body: bytes
) -> None:
    path = f"/v1/users/{quote(user.encode('utf-8', 'surrogatepass'), safe='')}/{what}"
    others = ("/v1/profiles", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/style")
    query = {"user_id": user, "context": what}
    answers = [
        fuzzed.request(method, path, content=body),
        *(fuzzed.post(other, content=body) for other in others),
        fuzzed.get("/v1/decisions/reply-format", params=query),
    ]
    assert [each.text for each in answers if each.status_code >= 500] == []
