"""The simulated users: who they are, what they like, how they were assigned, what they decide.

Everything that lasts longer than a day is drawn here, once, so that a day can be generated without
the days before it.
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulator import planted

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
NEVER: Final = 1_000_000  # a day number that no simulation reaches

# Streams of random numbers; each part of the simulation has its own, so that a change in one
# leaves the others as they were.
STREAM_POPULATION: Final = 1
STREAM_BEHAVIOUR: Final = 2
STREAM_ENCODING: Final = 3
STREAM_LINES: Final = 4


@dataclass(frozen=True)
class Control:
    """Something that a user decided: consent, a stated preference, a sign-in, an erasure."""

    user: int
    day: int
    time_us: int
    event_name: str
    attributes: tuple[tuple[str, str | bool], ...]


@dataclass(frozen=True)
class Population:
    """Users as columns; days count from 0, times of day are microseconds after midnight UTC."""

    seed: int
    start: date
    days: int
    user_ids: list[str]
    anonymous_ids: list[str]
    plan: IntArray
    role: IntArray
    active_probability: FloatArray
    turn_rate: FloatArray
    suggestion_rate: FloatArray
    start_day: IntArray
    start_time_us: IntArray
    is_anonymous_start: BoolArray
    identify_day: IntArray
    unlink_day: IntArray
    erase_day: IntArray
    preferred_style: IntArray
    preferred_format: IntArray
    preferred_suggestion_style: IntArray
    main_language: IntArray
    copy_lift: FloatArray
    acceptance_lift: FloatArray
    latency_lift: FloatArray
    variant: IntArray
    is_unreported: BoolArray
    other_variant_from_day: IntArray
    multiplier: dict[str, FloatArray]
    controls: dict[int, list[Control]]

    @property
    def size(self) -> int:
        """Number of users."""
        return len(self.user_ids)


def generator(seed: int, stream: int, *parts: int) -> np.random.Generator:
    """A random generator that depends on nothing but the seed, the stream and its parts."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, *parts])))


def hash_share(text: str) -> float:
    """A number in [0, 1) that a text always gets, uniform over texts."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def assign(experiment: planted.Experiment, user_id: str) -> int:
    """Index of the variant of a user: by hash, so nobody needs to remember an assignment."""
    share = hash_share(f"{experiment.name}:{user_id}")
    reached = 0.0
    for index, allocation in enumerate(experiment.allocation):
        reached += allocation
        if share < reached:
            return index
    return len(experiment.allocation) - 1


def choose(
    rng: np.random.Generator, shares: tuple[float, ...] | FloatArray, size: int
) -> NDArray[np.int64]:
    """Indices drawn with the given shares (which sum to 1)."""
    edges = np.cumsum(np.asarray(shares, dtype=np.float64))[:-1]
    return np.searchsorted(edges, rng.random(size), side="right").astype(np.int64)


def choose_by_row(rng: np.random.Generator, shares: FloatArray) -> NDArray[np.int64]:
    """One index per row of shares, drawn with the shares of that row."""
    edges = np.cumsum(shares, axis=1)[:, :-1]
    drawn = rng.random(len(shares))[:, None]
    index: NDArray[np.int64] = (drawn >= edges).sum(axis=1)
    return index


def build_population(users: int, days: int, start: date, seed: int) -> Population:
    """Draws the users of a world.

    Args:
        users: number of users, at least 1.
        days: length of the simulation in days, at least 1.
        start: first day.
        seed: every draw follows from it.
    """
    rng = generator(seed, STREAM_POPULATION, users)
    user_ids = [f"user-{number:07d}" for number in range(1, users + 1)]
    anonymous_ids = [
        "anon-" + hashlib.sha256(f"{seed}:{user_id}".encode()).hexdigest()[:16]
        for user_id in user_ids
    ]
    role = choose(rng, planted.ROLE_SHARES, users)
    plan = choose(rng, planted.PLAN_SHARES, users)
    active_probability = np.minimum(
        rng.beta(*planted.ACTIVE_PROBABILITY_BETA, size=users), planted.MAX_ACTIVE_PROBABILITY
    )
    turn_rate = _heavy_tailed(rng, planted.MEAN_TURNS_PER_ACTIVE_DAY, users)
    suggestion_rate = (
        _heavy_tailed(rng, planted.MEAN_SUGGESTIONS_PER_ACTIVE_DAY, users)
        * np.asarray(planted.SUGGESTION_FACTOR_BY_ROLE)[role]
    )
    start_day = np.where(
        rng.random(users) < 0.5, 0, np.floor(rng.random(users) * (days * 0.5 + 1)).astype(np.int64)
    )
    start_day = np.minimum(start_day, days - 1)
    start_time_us = (7 * HOUR_US + rng.random(users) * 3 * HOUR_US).astype(np.int64)
    is_anonymous_start = rng.random(users) < planted.ANONYMOUS_SHARE
    identify_day = np.where(is_anonymous_start, start_day + rng.integers(1, 4, users), start_day)
    unlink_day = np.where(
        is_anonymous_start & (rng.random(users) < planted.UNLINK_SHARE_OF_ANONYMOUS),
        identify_day + rng.integers(2, 7, users),
        NEVER,
    )
    erase_day = np.where(
        rng.random(users) < planted.ERASURE_SHARE, identify_day + rng.integers(5, 12, users), NEVER
    )

    preferred_style = choose(rng, planted.STYLE_POPULARITY, users)
    preferred_format = np.stack(
        [choose(rng, popularity, users) for popularity in planted.FORMAT_POPULARITY], axis=1
    )
    taste = choose(rng, planted.SUGGESTION_STYLE_POPULARITY, users)
    flips = rng.random((users, len(planted.LANGUAGES))) < planted.LANGUAGE_TASTE_FLIP
    preferred_suggestion_style = taste[:, None] ^ flips.astype(np.int64)
    main_language = choose(rng, planted.LANGUAGE_SHARES, users)

    variant = np.array(
        [[assign(experiment, user) for experiment in planted.EXPERIMENTS] for user in user_ids],
        dtype=np.int64,
    )
    multiplier = {mechanism: _multiplier(mechanism, variant) for mechanism in planted.MECHANISMS}
    is_unreported = np.zeros(variant.shape, dtype=np.bool_)
    column = planted.EXPERIMENT_NAMES.index(planted.UNREPORTED_EXPERIMENT)
    lost_variant = planted.EXPERIMENTS[column].variants.index(planted.UNREPORTED_VARIANT)
    is_unreported[:, column] = (variant[:, column] == lost_variant) & (
        rng.random(users) < planted.UNREPORTED_SHARE
    )
    switches = rng.random(variant.shape) < planted.TWO_VARIANT_SHARE
    switch_lag = 5 * rng.integers(0, 2, variant.shape)
    other_variant_from_day = np.where(
        switches & ~is_unreported, start_day[:, None] + switch_lag, NEVER
    )
    low, high = planted.USER_LIFT_RANGE
    population = Population(
        seed=seed,
        start=start,
        days=days,
        user_ids=user_ids,
        anonymous_ids=anonymous_ids,
        plan=plan,
        role=role,
        active_probability=active_probability,
        turn_rate=turn_rate,
        suggestion_rate=suggestion_rate,
        start_day=start_day,
        start_time_us=start_time_us,
        is_anonymous_start=is_anonymous_start,
        identify_day=identify_day,
        unlink_day=unlink_day,
        erase_day=erase_day,
        preferred_style=preferred_style,
        preferred_format=preferred_format,
        preferred_suggestion_style=preferred_suggestion_style,
        main_language=main_language,
        copy_lift=rng.uniform(low, high, users),
        acceptance_lift=rng.uniform(low, high, users),
        latency_lift=rng.lognormal(-0.02, 0.2, users),
        variant=variant,
        is_unreported=is_unreported,
        other_variant_from_day=other_variant_from_day,
        multiplier=multiplier,
        controls={},
    )
    _add_controls(population, rng)
    return population


def _heavy_tailed(rng: np.random.Generator, mean: float, size: int) -> FloatArray:
    sigma = planted.HEAVY_TAIL_SIGMA
    rates: FloatArray = np.minimum(
        rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, size), 12 * mean
    )
    return rates


def _multiplier(mechanism: str, variant: IntArray) -> FloatArray:
    product = np.ones(len(variant))
    for column, experiment in enumerate(planted.EXPERIMENTS):
        by_variant = np.array(
            [
                planted.MULTIPLIERS.get((experiment.name, name), {}).get(mechanism, 1.0)
                for name in experiment.variants
            ]
        )
        product *= by_variant[variant[:, column]]
    return product


def _add_controls(population: Population, rng: np.random.Generator) -> None:
    """Schedules consents, stated preferences, sign-ins and erasures, each on its day."""
    size = population.size
    draws: dict[str, list[float]] = {
        name: rng.random(size).tolist()
        for name in (
            "grant", "grant_day", "withdraw", "withdraw_day", "measurement", "measurement_day",
            "state", "state_day", "dimension", "honest", "clear", "clear_day", "time",
        )
    }  # fmt: skip
    columns: dict[str, list[Any]] = {
        "start": population.start_day.tolist(),
        "start_time": population.start_time_us.tolist(),
        "identify": population.identify_day.tolist(),
        "unlink": population.unlink_day.tolist(),
        "erase": population.erase_day.tolist(),
        "anonymous": population.is_anonymous_start.tolist(),
    }
    for user in range(size):
        draw = {name: values[user] for name, values in draws.items()}
        column = {name: values[user] for name, values in columns.items()}
        for control in _controls_of(population, user, draw, column):
            if control.day < population.days and control.day <= column["erase"]:
                population.controls.setdefault(control.day, []).append(control)


def _controls_of(
    population: Population, user: int, draw: dict[str, float], column: dict[str, Any]
) -> list[Control]:
    start, onboarding = int(column["start"]), int(column["start_time"]) - 5_000_000
    daytime = int((8 + 13 * draw["time"]) * HOUR_US)
    span = max(population.days - start - 1, 1)
    controls = []

    def consent(day: int, time_us: int, purpose: str, granted: bool) -> Control:
        attributes = (("consent.purpose", purpose), ("consent.granted", granted))
        return Control(user, day, time_us, "user.consent.changed", attributes)

    if draw["grant"] < planted.PERSONALIZATION_GRANT_SHARE:
        if draw["grant_day"] < planted.GRANT_ON_FIRST_DAY_SHARE:
            grant_day, grant_time = start, onboarding
        else:
            grant_day, grant_time = start + 1 + int(draw["withdraw_day"] * 3), daytime
        controls.append(consent(grant_day, grant_time, "personalization", True))
        if draw["withdraw"] < planted.WITHDRAWAL_SHARE_OF_GRANTED:
            day = grant_day + 2 + int(draw["withdraw_day"] * span)
            controls.append(consent(day, daytime, "personalization", False))
    elif draw["grant"] < (
        planted.PERSONALIZATION_GRANT_SHARE + planted.PERSONALIZATION_REFUSAL_SHARE
    ):
        controls.append(consent(start, onboarding, "personalization", False))
    if draw["measurement"] < planted.MEASUREMENT_WITHDRAWAL_SHARE:
        day = start + 1 + int(draw["measurement_day"] * span)
        controls.append(consent(day, daytime + 60_000_000, "measurement", False))
    if draw["state"] < planted.STATED_PREFERENCE_SHARE:
        day = start + 1 + int(draw["state_day"] * span)
        dimension, value = _stated_preference(population, user, draw)
        controls.append(
            Control(
                user,
                day,
                daytime + 120_000_000,
                "user.preference.set",
                (("preference.dimension", dimension), ("preference.value", value)),
            )
        )
        if draw["clear"] < planted.CLEARED_SHARE_OF_STATED:
            controls.append(
                Control(
                    user,
                    day + 1 + int(draw["clear_day"] * 5),
                    daytime + 180_000_000,
                    "user.preference.cleared",
                    (("preference.dimension", dimension),),
                )
            )
    if column["anonymous"]:
        anonymous = (("identity.anonymous_id", population.anonymous_ids[user]),)
        early = int((6.2 + 0.7 * draw["time"]) * HOUR_US)
        controls.append(Control(user, column["identify"], early, "user.identified", anonymous))
        unlink = (*anonymous, ("identity.action", "unlink"))
        controls.append(
            Control(user, column["unlink"], daytime + 240_000_000, "user.identified", unlink)
        )
    controls.append(Control(user, column["erase"], 23 * HOUR_US, "user.erasure.requested", ()))
    return controls


def _stated_preference(
    population: Population, user: int, draw: dict[str, float]
) -> tuple[str, str]:
    """A dimension and its value: mostly what the user likes (in the most usual context)."""
    values: tuple[str, ...]
    if draw["dimension"] < 0.6:
        dimension, values = "answer_style", planted.STYLES
        liked = int(population.preferred_style[user])
    elif draw["dimension"] < 0.85:
        dimension, values = "suggestion_style", planted.SUGGESTION_STYLES
        liked = int(population.preferred_suggestion_style[user, population.main_language[user]])
    else:
        dimension, values = "answer_format", planted.FORMATS
        task = int(np.argmax(planted.TASK_SHARES_BY_ROLE[int(population.role[user])]))
        liked = int(population.preferred_format[user, task])
    if draw["honest"] > 0.95:
        liked = (liked + 1) % len(values)
    return dimension, values[liked]
