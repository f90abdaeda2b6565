"""A user's word: durable first, then served, then answered; and gone when it is to be gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from serving.api import outbox
from serving.errors import StoreError
from serving.store import Store, erased_hash, open_store
from tests.serving.api.served import (
    ANNA,
    BERT,
    KEYS,
    UNKNOWN,
    Served,
    eventually,
    serving,
    stable,
    world,
)

USER = f"/v1/users/{quote(ANNA, safe='')}"


def pending(served: Served) -> list[str]:
    with open_store(served.url, read_only=True) as store:
        return [control.event_id for block in store.controls() for control in block]


def kinds(answer: dict[str, Any]) -> dict[str, str]:
    return {
        p["dimension"]: f"{p['value']} {p['kind']}"
        for p in answer["profile"]["preferences"]
        if p["context"] == "all"
    }


def test_users_read_what_they_wrote(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        answer = client.put(f"{USER}/preferences/style", json={"value": "detailed"}).json()
        assert kinds(answer)["style"] == "detailed stated"
        assert client.get(f"{USER}/profile").json()["profile"] == answer["profile"]
        (event,) = served.sink.events
        assert event["name"] == "user.preference.set"
        assert event["user.id"] == ANNA
        assert (event["preference.dimension"], event["preference.value"]) == ("style", "detailed")
        assert event["log.record.uid"] == answer["event_id"]
        assert pending(served) == [answer["event_id"]]
        assert (
            kinds(client.delete(f"{USER}/preferences/style").json())["style"] == "detailed default"
        )
        assert served.sink.events[-1]["name"] == "user.preference.cleared"


def test_a_preference_of_one_context(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        path = f"{USER}/preferences/format"
        said = {"value": "bullets", "context": "task.kind=fix"}
        answer = client.put(path, json=said).json()
        found = {p["context"]: p["kind"] for p in answer["profile"]["preferences"]}
        assert found["task.kind=fix"] == "stated"
        assert served.sink.events[0]["preference.context"] == "task.kind=fix"
        wrong = client.put(path, json={**said, "context": "other=fix"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_context")


def test_withdrawing_consent_empties_the_profile_before_it_returns(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        answer = client.put(f"{USER}/consents/personalization", json={"granted": False}).json()
        assert answer["profile"]["preferences"] == []
        assert answer["profile"]["segments"] == {}
        (event,) = served.sink.events
        assert (event["consent.purpose"], event["consent.granted"]) == ("personalization", False)
        # a sync of a build that has not heard of it brings nothing back
        served.fill(world())
        assert client.get(f"{USER}/profile").json()["profile"]["preferences"] == []
        refused = client.put(f"{USER}/preferences/style", json={"value": "concise"})
        assert (refused.status_code, refused.json()["code"]) == (409, "consent_required")
        client.put(f"{USER}/consents/personalization", json={"granted": True})
        assert client.put(f"{USER}/preferences/style", json={"value": "concise"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("preferences/nothing", {"value": "x"}, 404, "unknown_dimension"),
        ("preferences/model", {"value": "large"}, 403, "not_controllable"),
        ("preferences/style", {"value": "loud"}, 422, "unknown_value"),
        ("preferences/style", {"value": 1}, 400, "invalid_body"),
        ("preferences/style", {}, 400, "invalid_body"),
        ("preferences/style", {"value": "concise", "more": 1}, 400, "invalid_body"),
        ("consents/nothing", {"granted": True}, 404, "unknown_purpose"),
        ("consents/measurement", {"granted": "yes"}, 400, "invalid_body"),
        ("consents/measurement", [], 400, "invalid_body"),
    ],
)
def test_what_makes_no_sense_is_refused_and_recorded_nowhere(
    shared: Served, path: str, body: Any, status: int, code: str
) -> None:
    before = len(shared.sink.lines)
    with shared.client() as client:
        answer = client.put(f"{USER}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(shared.sink.lines) == before


def test_what_is_not_durable_is_not_served(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        served.sink.trouble = "the disk is full"
        before = client.get(f"{USER}/profile").json()["profile"]
        answer = client.put(f"{USER}/consents/personalization", json={"granted": False})
        assert (answer.status_code, answer.json()["code"]) == (503, "inbox_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert client.post(f"{USER}/erasure").status_code == 503
        assert client.get(f"{USER}/profile").json()["profile"] == before
        assert pending(served) == []


class Trouble:
    """A cache that cannot be written while it is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_on = True
        self.seconds = 0.0
        self.error: Exception = StoreError("locked")
        monkeypatch.setattr(outbox, "open_store", self._open)
        monkeypatch.setattr(outbox, "RETRY_SECONDS", 0.05)
        monkeypatch.setattr(outbox, "WAIT_SECONDS", 0.5)

    def _open(self, url: str) -> Store:
        if self.is_on:
            time.sleep(self.seconds)
            raise self.error
        return open_store(url)


def test_a_cache_that_fails_in_a_way_nobody_foresaw_is_written_as_soon_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(monkeypatch)
    trouble.error = OSError("no such device")
    with serving(tmp_path) as served, served.client() as client:
        answer = client.put(f"{USER}/consents/personalization", json={"granted": False})
        assert (answer.status_code, answer.json()["code"]) == (503, "cache_unavailable")
        trouble.is_on = False
        (event,) = served.sink.events
        eventually(lambda: pending(served) == [event["log.record.uid"]])
    (said,) = [each for each in caplog.records if "cannot be written" in each.message]
    assert said.exc_info is not None
    assert said.exc_info[1] is trouble.error


def test_what_there_is_no_room_for_is_not_recorded_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = Trouble(monkeypatch)
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    withdrawn = {"granted": False}
    with serving(tmp_path) as served, served.client() as client:
        for purpose in ("personalization", "measurement"):
            answer = client.put(f"{USER}/consents/{purpose}", json=withdrawn)
            assert answer.json()["code"] == "cache_unavailable"
        refused = [
            client.put(f"{USER}/consents/operations", json=withdrawn),
            client.post(f"/v1/users/{BERT}/erasure"),
        ]
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (503, "too_many_waiting")
            assert answer.headers["retry-after"] == "5"
        assert len(served.sink.events) == 2
        consent = client.get(f"{USER}/profile").json()["profile"]["consent"]
        assert consent == {"personalization": False, "measurement": False, "operations": True}
        assert client.get(f"/v1/users/{BERT}/profile").json()["is_default"] is False
        trouble.is_on = False
        eventually(lambda: len(pending(served)) == 2)
        assert client.put(f"{USER}/consents/operations", json=withdrawn).status_code == 200


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_withdrawal_holds_although_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    trouble = Trouble(monkeypatch)
    trouble.seconds = seconds
    with serving(tmp_path) as served, served.client() as client:
        started = time.monotonic()
        answer = client.put(f"{USER}/consents/personalization", json={"granted": False})
        assert (answer.status_code, answer.json()["code"]) == (503, "cache_unavailable")
        assert time.monotonic() - started < 5
        (event,) = served.sink.events
        assert event["consent.granted"] is False
        for path in (f"{USER}/profile", f"{USER}/why"):
            said = client.get(path).json()
            assert said.get("profile", said)["preferences"] == []
        many = client.post("/v1/profiles", json={"user_ids": [ANNA]}).json()
        assert many["profiles"][ANNA]["profile"]["preferences"] == []
        refused = client.put(f"{USER}/preferences/style", json={"value": "concise"})
        assert refused.json()["code"] == "consent_required"
        assert pending(served) == []
        # the last word holds, in the cache too
        client.put(f"{USER}/consents/personalization", json={"granted": True})
        assert client.get(f"{USER}/profile").json()["profile"]["consent"]["personalization"] is True
        trouble.is_on = False
        wanted = [each["log.record.uid"] for each in served.sink.events]
        eventually(lambda: pending(served) == wanted)
        assert len(wanted) == 2
        assert client.put(f"{USER}/consents/measurement", json={"granted": True}).status_code == 200


def test_a_word_that_waits_is_laid_over_what_is_stored_under_an_older_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trouble(monkeypatch)
    with serving(tmp_path) as served, served.client() as client:
        refused = client.put(f"{USER}/preferences/style", json={"value": "detailed"})
        assert refused.json()["code"] == "cache_unavailable"
        answer = client.get(f"{USER}/profile").json()
        assert (len(KEYS), answer["is_default"]) == (2, False)
        assert kinds(answer)["format"] == "bullets inferred"
        assert kinds(answer)["style"] == "detailed stated"
        why = client.get(f"{USER}/why").json()
        assert kinds({"profile": why}) == kinds(answer)
        assert answer["profile"]["consent"] == why["consent"]
        assert client.get(f"/v1/users/{UNKNOWN}/profile").json()["default_reason"] == "unknown_user"


def test_an_erasure_holds_although_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = Trouble(monkeypatch)
    with serving(tmp_path) as served, served.client() as client:
        assert client.post(f"{USER}/erasure").status_code == 503
        assert [each["name"] for each in served.sink.events] == ["user.erasure.requested"]
        assert client.get(f"{USER}/profile").json()["default_reason"] == "unknown_user"
        trouble.is_on = False
        with open_store(served.url, read_only=True) as store:
            eventually(lambda: erased_hash(stable(ANNA)) in store.erasures())
            assert store.get("hot_user_profiles", stable(ANNA)) is None


def test_what_the_cache_never_took_is_said_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Trouble(monkeypatch)
    with serving(tmp_path) as served, served.client() as client:
        client.put(f"{USER}/consents/personalization", json={"granted": False})
    assert "1 statements of users are in the inbox but not in the cache" in caplog.text


def test_an_erased_user_is_gone_from_answers_and_files(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        client.put(f"{USER}/preferences/style", json={"value": "detailed"})
        assert client.post(f"{USER}/erasure").status_code == 202
        after = client.get(f"{USER}/profile").json()
        assert (after["is_default"], after["default_reason"]) == (True, "unknown_user")
        assert served.sink.events[-1]["name"] == "user.erasure.requested"
        assert pending(served) == []
        served.fill(world())
        assert client.get(f"{USER}/profile").json()["is_default"] is True
        assert client.get(f"/v1/users/{BERT}/profile").json()["is_default"] is False
        again = client.put(f"{USER}/consents/personalization", json={"granted": True})
        assert (again.status_code, again.json()["code"]) == (409, "erased")
        key = stable(ANNA).encode()
        eventually(
            lambda: all(key not in each.read_bytes() for each in tmp_path.glob("cache.sqlite*"))
        )


def test_an_export_holds_all_that_is_served(shared: Served) -> None:
    with shared.client() as client:
        answer = client.get(f"{USER}/export")
        why = client.get(f"{USER}/why").json()
    assert answer.headers["content-disposition"].startswith("attachment")
    exported = answer.json()
    assert exported.pop("pseudonym") == stable(ANNA)
    assert exported.pop("exported_at") == "2026-03-10T02:00:00Z"
    assert exported == why


def test_statements_of_one_instant_keep_their_order(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client() as client:
        for value in ("concise", "detailed", "concise"):
            client.put(f"{USER}/preferences/style", json={"value": value})
        times = [
            int(line.split(b'"timeUnixNano":"')[1].split(b'"')[0]) for line in served.sink.lines
        ]
        assert times == sorted(set(times))
