"""A user's word over what the build knows: what the next build would serve."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.overlay import Declared, default_profile, overlaid
from tests.serving.api.served import dimension, preference, profile

DECLARED = Declared(
    {
        "style": dimension("style", "detailed", "concise", "detailed"),
        "format": dimension("format", "prose", "bullets", "prose", context_attributes="task.kind"),
    },
    {
        name: {"purpose": name, "granted_by_default": granted, "description": ""}
        for name, granted in (("personalization", False), ("measurement", True))
    },
)
STORED = profile(
    preference("format", "bullets"),
    preference("format", "prose", context="task.kind=fix"),
    preference("format", "bullets", "stated", context="task.kind=write"),
    preference("style", "concise"),
)


def control(kind: str, **fields: Any) -> bytes:
    empty = {"dimension": None, "context": "all", "value": None, "purpose": None, "granted": None}
    return json.dumps(
        {"kind": kind, "occurred_at": "2026-03-01T00:00:00Z", **empty, **fields}
    ).encode()


def consent(*, granted: bool, purpose: str = "personalization") -> bytes:
    return control("consent_changed", purpose=purpose, granted=granted)


def stated(dimension: str, value: str, context: str = "all") -> bytes:
    return control("preference_set", dimension=dimension, value=value, context=context)


def cleared(dimension: str | None) -> bytes:
    return control("preference_cleared", dimension=dimension)


def values(
    stored: dict[str, Any] | None, *controls: bytes
) -> dict[tuple[str, str], tuple[str, str]]:
    """(dimension, context) -> (value, kind)."""
    merged = overlaid(stored, controls, DECLARED)
    places = [(each["dimension"], each["context"]) for each in merged["preferences"]]
    assert places == sorted(set(places))
    return {
        (each["dimension"], each["context"]): (each["value"], each["kind"])
        for each in merged["preferences"]
    }


def test_without_a_control_nothing_changes() -> None:
    assert overlaid(STORED, [], DECLARED) == STORED


def test_a_setting_holds_wherever_nothing_else_was_set() -> None:
    assert values(STORED, stated("format", "prose")) == {
        ("format", "all"): ("prose", "stated"),
        ("format", "task.kind=fix"): ("prose", "stated"),
        ("format", "task.kind=write"): ("bullets", "stated"),
        ("style", "all"): ("concise", "inferred"),
    }


def test_a_setting_for_one_context_leaves_the_others() -> None:
    found = values(STORED, stated("format", "bullets", "task.kind=fix"))
    assert found["format", "task.kind=fix"] == ("bullets", "stated")
    assert found["format", "all"] == ("bullets", "inferred")


def test_a_stated_preference_has_no_score_but_keeps_its_evidence() -> None:
    merged = overlaid(STORED, [stated("style", "detailed")], DECLARED)
    found = next(each for each in merged["preferences"] if each["dimension"] == "style")
    assert (found["score"], found["score_lower"], found["score_upper"]) == (None, None, None)
    assert found["evidence_count"] == 12


def test_a_reset_forgets_every_context() -> None:
    assert values(STORED, cleared("format")) == {
        ("format", "all"): ("prose", "default"),
        ("style", "all"): ("concise", "inferred"),
    }
    assert values(STORED, cleared(None)) == {
        ("format", "all"): ("prose", "default"),
        ("style", "all"): ("detailed", "default"),
    }


def test_the_last_word_holds() -> None:
    style = "style", "all"
    assert values(STORED, stated("style", "detailed"), cleared("style"))[style][1] == "default"
    assert values(STORED, cleared("style"), stated("style", "concise"))[style][1] == "stated"


def test_without_consent_nothing_is_believed() -> None:
    merged = overlaid(STORED, [stated("style", "detailed"), consent(granted=False)], DECLARED)
    assert merged["preferences"] == []
    assert merged["consent"]["personalization"] is False
    assert merged["segments"] == {}
    assert values(STORED, consent(granted=False), stated("style", "detailed")) == {}
    assert values(STORED, consent(granted=False), cleared("style")) == {}


def test_consent_given_again_begins_with_nothing() -> None:
    again = values(STORED, consent(granted=False), consent(granted=True))
    assert again == {
        ("format", "all"): ("prose", "default"),
        ("style", "all"): ("detailed", "default"),
    }
    first = values(profile(consent=False), consent(granted=True), stated("style", "concise"))
    assert first["style", "all"] == ("concise", "stated")


def test_consent_said_twice_changes_nothing() -> None:
    assert overlaid(STORED, [consent(granted=True)], DECLARED) == STORED


@pytest.mark.parametrize("purpose", ["personalization", "measurement"])
def test_segments_need_consent_to_measuring_and_personalizing(purpose: str) -> None:
    withdrawn = consent(granted=False, purpose=purpose)
    assert overlaid(STORED, [withdrawn], DECLARED)["segments"] == {}
    again = [withdrawn, consent(granted=True, purpose=purpose)]
    assert overlaid(STORED, again, DECLARED)["segments"] == STORED["segments"]
    assert overlaid(STORED, [consent(granted=False, purpose="operations")], DECLARED)["segments"]


@pytest.mark.parametrize("granted", [True, False])
def test_other_purposes_leave_preferences_alone(granted: bool) -> None:
    merged = overlaid(STORED, [consent(granted=granted, purpose="measurement")], DECLARED)
    assert merged["preferences"] == STORED["preferences"]
    assert merged["consent"]["measurement"] is granted


def test_of_somebody_unknown_the_defaults_hold() -> None:
    assert overlaid(None, [], DECLARED) == default_profile(DECLARED)
    assert default_profile(DECLARED)["consent"] == {"measurement": True, "personalization": False}
    assert values(None, consent(granted=True), stated("style", "concise"))["style", "all"] == (
        "concise",
        "stated",
    )


def test_what_is_no_longer_declared_does_no_harm() -> None:
    stored = profile(preference("gone", "x"))
    assert ("gone", "all") not in values(stored, cleared("gone"))
    assert values(stored, stated("style", "concise"))["gone", "all"] == ("x", "inferred")
