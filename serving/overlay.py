"""What a user said since the last build, laid over what the build knows.

A pending control is the JSON of the store's `Control.payload`. The merged profile is what the next
build would serve, as far as it can be known without one: a set preference is stated, a cleared one
is the default again, without consent to personalization nothing is believed at all, and no segment is
served without that and consent to measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PERSONALIZATION = "personalization"
# segments come from exposures, which are measured, and are served to personalize
SEGMENT_PURPOSES = ("measurement", PERSONALIZATION)
EVERYWHERE = "all"
STATED = "You set this yourself."
NOTHING_KNOWN = "Default: nothing is known yet."


@dataclass(frozen=True, slots=True)
class Declared:
    """What can be preferred and consented to, as declared.

    Attributes:
        dimensions: Dimension -> payload of `hot_preference_dimensions`.
        purposes: Purpose -> payload of `hot_consent_purposes`.
    """

    dimensions: Mapping[str, Mapping[str, Any]]
    purposes: Mapping[str, Mapping[str, Any]]


def default_profile(declared: Declared) -> dict[str, Any]:
    """Return the profile of somebody of whom nothing is known."""
    return {
        "preferences": [
            _default(dimension, declared, NOTHING_KNOWN)
            for dimension in sorted(declared.dimensions)
        ],
        "segments": {},
        "consent": {
            purpose: bool(fields["granted_by_default"])
            for purpose, fields in sorted(declared.purposes.items())
        },
    }


def overlaid(
    profile: Mapping[str, Any] | None, controls: Sequence[bytes], declared: Declared
) -> dict[str, Any]:
    """Return the profile as the user's pending controls leave it.

    Args:
        profile: As served; None: nothing is known of the user.
        controls: Pending controls of the user, oldest first.
        declared: For defaults, and for what users may decide.
    """
    merged = dict(default_profile(declared) if profile is None else profile)
    consent = dict(merged.get("consent") or {})
    preferences = _by_place(merged.get("preferences") or [])
    is_withdrawn = False
    for payload in controls:
        control = orjson.loads(payload)
        match control["kind"]:
            case "consent_changed":
                had_consent = consent.get(PERSONALIZATION, False)
                consent[control["purpose"]] = bool(control["granted"])
                if control["purpose"] == PERSONALIZATION:
                    is_withdrawn = not control["granted"]
                    if is_withdrawn or not had_consent:
                        preferences = {}
            case "preference_cleared":
                preferences = _cleared(preferences, control["dimension"], declared)
            case "preference_set":
                # a statement counts from the consent in force when it was made
                if consent.get(PERSONALIZATION, False):
                    preferences = _stated(preferences, control)
    if is_withdrawn:
        preferences = {}
    else:
        known = {dimension for dimension, _ in preferences}
        for dimension in declared.dimensions.keys() - known:
            preferences[dimension, EVERYWHERE] = _default(dimension, declared, NOTHING_KNOWN)
    if not all(consent.get(purpose, False) for purpose in SEGMENT_PURPOSES):
        merged["segments"] = {}
    return merged | {
        "preferences": [preferences[place] for place in sorted(preferences)],
        "consent": dict(sorted(consent.items())),
    }


def _by_place(preferences: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["dimension"], each["context"]): dict(each) for each in preferences}


def _cleared(
    preferences: Mapping[tuple[str, str], dict[str, Any]], dimension: str | None, declared: Declared
) -> dict[tuple[str, str], dict[str, Any]]:
    """Forget one dimension in every context, or all of them."""
    kept = {
        place: preference
        for place, preference in preferences.items()
        if dimension is not None and place[0] != dimension
    }
    names = declared.dimensions if dimension is None else {dimension} & declared.dimensions.keys()
    return kept | {(name, EVERYWHERE): _default(name, declared, NOTHING_KNOWN) for name in names}


def _stated(
    preferences: Mapping[tuple[str, str], dict[str, Any]], control: Mapping[str, Any]
) -> dict[tuple[str, str], dict[str, Any]]:
    """A statement for all contexts holds in each of them that has none of its own."""
    dimension, context, value = control["dimension"], control["context"], control["value"]
    changed = dict(preferences)
    for place, preference in preferences.items():
        is_covered = context == EVERYWHERE and preference["kind"] != "stated"
        if place[0] == dimension and is_covered:
            changed[place] = _preference(*place, value, "stated", STATED, preference)
    own = dimension, context
    changed[own] = _preference(*own, value, "stated", STATED, preferences.get(own, {}))
    return changed


def _default(dimension: str, declared: Declared, reason: str) -> dict[str, Any]:
    value = declared.dimensions[dimension]["default_value"]
    return _preference(dimension, EVERYWHERE, value, "default", reason, {})


def _preference(
    dimension: str,
    context: str,
    value: str | None,
    kind: str,
    reason: str,
    before: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "dimension": dimension,
        "context": context,
        "value": value,
        "kind": kind,
        "score": None,
        "score_lower": None,
        "score_upper": None,
        "evidence_count": before.get("evidence_count", 0),
        "reason": reason,
    }
