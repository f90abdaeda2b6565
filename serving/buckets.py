"""Which units see which variant: the same answer everywhere, at any time, without any memory.

A bucket is a number in [0, 1): the first 8 bytes, big-endian, of SHA-256 over salt, unit
separator (0x1F) and unit in UTF-8, divided by 2**64. The unit is a user's pseudonym under the oldest key of the ring (likewise of a
session or organization), so nobody moves when keys rotate. Salts keep the three questions apart:

- held out?      `EXPERIMENT:holdout` below `holdout_share`;
- which layer?   `layer:LAYER` within the experiment's slot;
- which variant? `EXPERIMENT:variant`, cumulated over the allocations in the order of variant names.

The experiments of a layer that run at the same time share it in equal slots. A neighbour that is
declared later takes units away from one that runs, but never changes anybody's variant; declare
those that overlap together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_SPAN = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What assignment needs of an experiment.

    Attributes:
        name: Its name, which is the flag key and the salt.
        unit: user, session or organization.
        control_variant: What units outside get.
        allocation: Variant -> share, in the order of variant names.
        layer: Experiments of one layer have no unit in common; None: in no layer.
        holdout_share: Share of units that is left alone, 0 to 1.
        started_at: Naive UTC.
        ended_at: Naive UTC; None: has no end.
    """

    name: str
    unit: str
    control_variant: str
    allocation: Mapping[str, float]
    layer: str | None
    holdout_share: float
    started_at: datetime
    ended_at: datetime | None

    def runs_at(self, now: datetime) -> bool:
        """Whether it has started and not ended; naive UTC."""
        return self.started_at <= now and (self.ended_at is None or now < self.ended_at)


@dataclass(frozen=True, slots=True)
class Slot:
    """An experiment's part of its layer: units whose bucket is in [lower, upper)."""

    lower: float
    upper: float


WHOLE = Slot(0.0, 1.0)


def bucket(salt: str, unit: str) -> float:
    """Return a unit's bucket, 0 to below 1, see the module."""
    digest = hashlib.sha256(f"{salt}\x1f{unit}".encode()).digest()
    # the nearest float of the largest numerators is 1.0
    return min(int.from_bytes(digest[:8], "big") / _SPAN, 1.0 - 2**-53)


def assign(experiment: Experiment, slot: Slot, unit: str) -> str | None:
    """Return the unit's variant, or None where it is held out or outside the slot."""
    if bucket(f"{experiment.name}:holdout", unit) < experiment.holdout_share:
        return None
    if slot != WHOLE:
        place = bucket(f"layer:{experiment.layer}", unit)
        if not slot.lower <= place < slot.upper:
            return None
    return pick(experiment.allocation, bucket(f"{experiment.name}:variant", unit))


def pick(shares: Mapping[str, float], place: float) -> str | None:
    """Return the name at a place in [0, 1) of the cumulated shares, or None if all are zero.

    Shares need not add up to one: they are weights.
    """
    total = sum(shares.values())
    chosen, reached = None, 0.0
    for name, share in shares.items():
        if share <= 0.0:
            continue
        chosen, reached = name, reached + share
        if place * total < reached:
            break
    return chosen


def layer_slots(experiments: Iterable[Experiment]) -> dict[str, Slot]:
    """Divide each layer among those of its experiments that ever run at the same time.

    Returns:
        Experiment name -> slot; the whole for an experiment in no layer or without a neighbour.
    """
    layers: dict[str, list[Experiment]] = {}
    slots: dict[str, Slot] = {}
    for experiment in experiments:
        if experiment.layer is None:
            slots[experiment.name] = WHOLE
        else:
            layers.setdefault(experiment.layer, []).append(experiment)
    for members in layers.values():
        ordered = sorted(members, key=lambda each: (each.started_at, each.name))
        for places in _overlapping(ordered):
            count = max(places.values()) + 1
            slots |= {
                name: Slot(place / count, (place + 1) / count) for name, place in places.items()
            }
    return slots


def _overlapping(ordered: Sequence[Experiment]) -> list[dict[str, int]]:
    """Group experiments that overlap, directly or through others, each with its place.

    Two that run at the same time never have the same place; one that begins takes the first place
    that is free.
    """
    groups: list[dict[str, int]] = []
    running: dict[int, Experiment] = {}
    for experiment in ordered:
        running = {
            place: other for place, other in running.items() if other.runs_at(experiment.started_at)
        }
        if not running:
            groups.append({})
        place = next(place for place in range(len(running) + 1) if place not in running)
        running[place] = experiment
        groups[-1][experiment.name] = place
    return groups
