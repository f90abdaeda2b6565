"""Assignment: the documented hash, the declared shares, and nobody who moves or is in two places."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.buckets import WHOLE, Experiment, Slot, assign, bucket, layer_slots, pick

START = datetime.fromisoformat("2026-03-01T00:00:00")
UNITS = [f"{number:064x}" for number in range(20_000)]


def experiment(name: str = "e", **more: Any) -> Experiment:
    fields: dict[str, Any] = {
        "unit": "user",
        "control_variant": "control",
        "allocation": {"control": 0.5, "treatment": 0.5},
        "layer": None,
        "holdout_share": 0.0,
        "started_at": START,
        "ended_at": None,
    }
    return Experiment(name=name, **(fields | more))


def test_the_hash_is_the_documented_one() -> None:
    digest = hashlib.sha256(b"salt\x1funit").digest()
    assert bucket("salt", "unit") == int.from_bytes(digest[:8], "big") / 2**64
    # frozen: another number here would move every unit of every running experiment
    assert bucket("answers:variant", UNITS[1]) == 0.8364462824393779


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.34, 0.33, 0.33)])
def test_shares_are_the_declared_ones(shares: tuple[float, ...]) -> None:
    allocation = {f"v{number}": share for number, share in enumerate(shares)}
    counts = Counter(assign(experiment(allocation=allocation), WHOLE, unit) for unit in UNITS)
    for name, share in allocation.items():
        # five standard errors
        assert (
            abs(counts[name] / len(UNITS) - share) < 5 * (share * (1 - share) / len(UNITS)) ** 0.5
        )


def test_experiments_are_independent_of_each_other() -> None:
    counts = Counter(
        (assign(experiment("a"), WHOLE, unit), assign(experiment("b"), WHOLE, unit))
        for unit in UNITS
    )
    assert len(counts) == 4
    assert all(abs(count / len(UNITS) - 0.25) < 0.02 for count in counts.values())


def test_held_out_units_have_no_variant_and_stay_so_when_the_share_grows() -> None:
    small = {u for u in UNITS if assign(experiment(holdout_share=0.1), WHOLE, u) is None}
    large = {u for u in UNITS if assign(experiment(holdout_share=0.2), WHOLE, u) is None}
    assert small < large
    assert abs(len(small) / len(UNITS) - 0.1) < 0.02
    kept = [u for u in UNITS if u not in large]
    assert [assign(experiment(), WHOLE, u) for u in kept] == [
        assign(experiment(holdout_share=0.2), WHOLE, u) for u in kept
    ]


def test_no_unit_is_in_two_experiments_of_a_layer() -> None:
    members = [experiment(name, layer="l") for name in ("a", "b", "c")]
    slots = layer_slots(members)
    counts = Counter(
        tuple(each.name for each in members if assign(each, slots[each.name], unit) is not None)
        for unit in UNITS
    )
    assert set(counts) == {("a",), ("b",), ("c",)}
    assert all(abs(count / len(UNITS) - 1 / 3) < 0.02 for count in counts.values())


def test_a_later_neighbour_takes_units_away_but_changes_no_variant() -> None:
    alone = experiment("a", layer="l")
    later = experiment("b", layer="l", started_at=START + timedelta(days=3))
    before, after = layer_slots([alone])["a"], layer_slots([alone, later])["a"]
    assert (before, after) == (WHOLE, Slot(0.0, 0.5))
    for unit in UNITS[:2000]:
        assert assign(alone, after, unit) in (None, assign(alone, before, unit))


def test_one_after_the_other_has_the_whole_layer() -> None:
    first = experiment("a", layer="l", ended_at=START + timedelta(days=7))
    second = experiment("b", layer="l", started_at=START + timedelta(days=7))
    assert layer_slots([first, second]) == {"a": WHOLE, "b": WHOLE}
    assert layer_slots([experiment("a", layer="l"), experiment("b", layer="m")])["b"] == WHOLE


@given(
    st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(1, 10)), min_size=1, max_size=8)
)
def test_slots_of_any_layer_are_apart_whenever_both_run(runs: list[tuple[int, int | None]]) -> None:
    members = [
        experiment(
            f"e{number}",
            layer="l",
            started_at=START + timedelta(days=start),
            ended_at=None if days is None else START + timedelta(days=start + days),
        )
        for number, (start, days) in enumerate(runs)
    ]
    slots = layer_slots(members)
    for one, other in combinations(members, 2):
        if one.runs_at(other.started_at) or other.runs_at(one.started_at):
            a, b = slots[one.name], slots[other.name]
            assert a.upper <= b.lower or b.upper <= a.lower


@given(
    st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=5),
    st.floats(0, 1, exclude_max=True),
)
def test_only_what_has_a_share_is_picked(shares: dict[str, float], place: float) -> None:
    chosen = pick(shares, place)
    if any(share > 0 for share in shares.values()):
        assert chosen is not None
        assert shares[chosen] > 0
    else:
        assert chosen is None
