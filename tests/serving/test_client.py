from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from serving.client import Client, explain_user, reason_lines
from serving.errors import StoreError
from serving.store import Control
from tests.serving.conftest import AS_OF, Workspace

if TYPE_CHECKING:
    from pathlib import Path

VIEW = "hot_user_profiles"
PROFILE = json.dumps(
    {
        "preferences": [
            {
                "dimension": "answer_style",
                "context": "all",
                "value": "concise",
                "kind": "inferred",
                "score": 0.8125,
                "score_lower": 0.7,
                "score_upper": 0.9,
                "evidence_count": 23,
                "reason": "19 of 23 signals\nabove the population's 0.5",
            },
            {
                "dimension": "language",
                "context": "editor",
                "value": "python",
                "kind": "stated",
                "score": None,
                "evidence_count": 1,
                "reason": None,
            },
        ],
        "segments": {"plan": "pro"},
        "consent": {"personalization": True},
    }
)


def test_a_client_returns_the_bytes_as_synced(workspace: Workspace) -> None:
    workspace.build({"u": '{"ä": 1}', "v": "2"})
    workspace.sync()
    with Client(workspace.url) as client:
        assert client.get(VIEW, "u") == '{"ä": 1}'.encode()
        assert client.get(VIEW, "nobody") is None
        assert client.get("hot_nothing", "u") is None
        assert client.get_many(VIEW, ["v", "nobody"]) == {"v": b"2"}
        assert client.freshness(VIEW).generation == 1
        assert client.explain_user("nobody")["is_known"] is False


def test_no_way_to_a_profile_passes_by_what_its_user_said(workspace: Workspace) -> None:
    said = {"kind": "consent_changed", "purpose": "personalization", "granted": False}
    workspace.build({"u": PROFILE, "v": PROFILE, "erased": PROFILE})
    workspace.sync()
    workspace.store.add_control(Control("u", "event", json.dumps(said).encode()))
    workspace.store.erase(["erased"], clean=False)
    with Client(workspace.url) as client:
        one = client.get(VIEW, "u")
        assert one is not None
        assert json.loads(one)["preferences"] == []
        assert client.profile("u") == one
        keys = ["u", "v", "erased", "nobody"]
        assert client.get_many(VIEW, keys) == {"u": one, "v": PROFILE.encode()}
        assert client.get(VIEW, "erased") is None


def test_a_user_is_explained_with_reasons_and_freshness(workspace: Workspace) -> None:
    workspace.build({"u": PROFILE})
    workspace.sync()
    explained = explain_user(workspace.store, "u", now=AS_OF + timedelta(hours=3))
    assert explained["segments"] == {"plan": "pro"}
    assert explained["consent"] == {"personalization": True}
    assert [each["reason_lines"] for each in explained["preferences"]] == [
        [
            "answer_style is concise: inferred, score 0.81 (0.70 to 0.90), from 23 signals",
            "19 of 23 signals",
            "above the population's 0.5",
        ],
        ["language is python when editor: stated, from 1 signal"],
    ]
    freshness = explained["freshness"]
    assert (freshness["age_hours"], freshness["max_age_hours"]) == (2.0, 26.0)
    assert freshness["is_stale"] is False
    assert freshness["as_of"] == freshness["value_as_of"] == "2026-01-01T01:00:00Z"
    json.dumps(explained)


def test_a_view_older_than_declared_is_stale(workspace: Workspace) -> None:
    workspace.build({"u": PROFILE})
    workspace.sync()
    for hours, is_stale in ((27, False), (27.01, True)):
        explained = explain_user(workspace.store, "u", now=AS_OF + timedelta(hours=hours))
        assert explained["freshness"]["is_stale"] is is_stale


def test_an_unknown_user_is_said_to_be_unknown(workspace: Workspace) -> None:
    workspace.build({"u": PROFILE})
    workspace.sync()
    explained = explain_user(workspace.store, "nobody")
    assert explained["is_known"] is False
    assert explained["preferences"] == []
    assert explained["freshness"]["value_as_of"] is None


def test_explaining_before_the_first_sync_says_what_to_run(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match="attune sync"):
        explain_user(workspace.store, "u")


def test_a_profile_that_is_not_json_is_reported(workspace: Workspace) -> None:
    workspace.build({"u": "{"})
    workspace.sync()
    with pytest.raises(StoreError, match="not JSON"):
        explain_user(workspace.store, "u")


def test_a_preference_without_numbers_has_its_line() -> None:
    bare = {"dimension": "d", "value": "v", "kind": "default"}
    assert reason_lines(bare) == ["d is v: default"]


def test_a_client_of_no_cache_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no cache"):
        Client(f"sqlite:///{tmp_path}/none.sqlite")
