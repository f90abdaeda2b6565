"""What users do on one day, as arrays: turns, suggestions and their outcomes.

No bytes are made here, so that tests of statistics can sum outcomes over many seeds quickly.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from simulator import planted
from simulator.population import (
    HOUR_US,
    STREAM_BEHAVIOUR,
    BoolArray,
    FloatArray,
    IntArray,
    Population,
    choose,
    choose_by_row,
    generator,
)

USERS_PER_BLOCK = 20_000
SESSION_SLOTS = 3
NO_FEEDBACK, NEGATIVE, POSITIVE = -1, 0, 1
UNDECIDED, ACCEPTED, REJECTED = 0, 1, 2


@dataclass(frozen=True)
class Turns:
    """Turns of a block; `row` points into the active users, times count from midnight UTC."""

    row: IntArray
    slot: IntArray
    time_us: IntArray
    duration_us: IntArray
    task: IntArray
    style: IntArray
    format: IntArray
    is_decision: BoolArray
    propensity: FloatArray
    is_error: BoolArray
    has_tool: BoolArray
    is_tool_error: BoolArray
    input_tokens: IntArray
    output_tokens: IntArray
    is_copied: BoolArray
    is_regenerated: BoolArray
    feedback: IntArray


@dataclass(frozen=True)
class Suggestions:
    """Inline suggestions of a block and what became of them."""

    row: IntArray
    slot: IntArray
    time_us: IntArray
    language: IntArray
    style: IntArray
    latency_ms: IntArray
    displayed_ms: IntArray
    length: IntArray
    outcome: IntArray
    has_survival: BoolArray
    survival_rate: FloatArray


@dataclass(frozen=True)
class DayBlock:
    """The active users of one block of users on one day, and all that they did."""

    day: int
    block: int
    user: IntArray
    is_anonymous: BoolArray
    session_start_us: IntArray
    first_slot: IntArray
    has_twin: BoolArray
    is_error_evaluation: BoolArray
    turns: Turns
    suggestions: Suggestions

    @property
    def first_time_us(self) -> IntArray:
        """When each active user appears: flags are evaluated before anything else happens."""
        times: IntArray = self.session_start_us[np.arange(len(self.user)), self.first_slot]
        return times


def block_count(population: Population) -> int:
    """Number of blocks of users; a block bounds the memory that a day takes."""
    return -(-population.size // USERS_PER_BLOCK)


def generate_block(population: Population, day: int, block: int) -> DayBlock:
    """Generates one day of one block of users; the same whatever was generated before it."""
    rng = generator(population.seed, STREAM_BEHAVIOUR, population.days, day, block)
    first = block * USERS_PER_BLOCK
    users = np.arange(first, min(first + USERS_PER_BLOCK, population.size))
    weekday = (population.start + timedelta(days=day)).weekday()
    probability = population.active_probability[users] * planted.WEEKDAY_FACTORS[weekday]
    is_start = population.start_day[users] == day
    is_active = (
        (
            (rng.random(len(users)) < probability)
            | is_start
            | (population.identify_day[users] == day)
        )
        & (population.start_day[users] <= day)
        & (day <= population.erase_day[users])
    )
    user = users[is_active]
    rows = len(user)
    is_start = is_start[is_active]

    sessions = 1 + choose(rng, (0.6, 0.3, 0.1), rows)
    first_slot = np.floor(rng.random(rows) * (SESSION_SLOTS + 1 - sessions)).astype(np.int64)
    first_slot[is_start] = 0
    slot_hours = np.array([7.0, 12.0, 17.0]) + 3.5 * rng.random((rows, SESSION_SLOTS))
    session_start_us = (slot_hours * HOUR_US).astype(np.int64)
    session_start_us[is_start, 0] = population.start_time_us[user[is_start]]

    turn_counts = rng.poisson(population.turn_rate[user] * population.multiplier["turns"][user])
    has_twin = (rng.random(rows) < planted.TWIN_SHARE) & (turn_counts > 0)
    turns = _generate_turns(
        rng, population, user, turn_counts, sessions, first_slot, session_start_us, has_twin
    )
    suggestions = _generate_suggestions(
        rng, population, user, sessions, first_slot, session_start_us
    )
    errors = rng.random((rows, len(planted.EXPERIMENTS))) < planted.ERROR_EVALUATION_SHARE
    return DayBlock(
        day=day,
        block=block,
        user=user,
        is_anonymous=population.is_anonymous_start[user] & (day < population.identify_day[user]),
        session_start_us=session_start_us,
        first_slot=first_slot,
        has_twin=has_twin,
        is_error_evaluation=errors,
        turns=turns,
        suggestions=suggestions,
    )


def _generate_turns(
    rng: np.random.Generator,
    population: Population,
    user: IntArray,
    counts: IntArray,
    sessions: IntArray,
    first_slot: IntArray,
    session_start_us: IntArray,
    has_twin: BoolArray,
) -> Turns:
    row = np.repeat(np.arange(len(user)), counts)
    size = len(row)
    who = user[row]
    slot = first_slot[row] + np.floor(rng.random(size) * sessions[row]).astype(np.int64)
    offset_us = (10e6 + rng.random(size) * 1500e6).astype(np.int64)
    # A twin is the span event of the day's exposures: that turn opens the day.
    opening = (np.cumsum(counts) - counts)[has_twin]
    slot[opening] = first_slot[has_twin]
    offset_us[opening] = 0
    task = choose_by_row(rng, np.asarray(planted.TASK_SHARES_BY_ROLE)[population.role[who]])
    style = choose(rng, planted.SERVED_STYLE_SHARES, size)
    is_decision = rng.random(size) < planted.DECISION_SHARE
    logged = np.array([planted.logged_probabilities(index) for index in range(len(planted.TASKS))])
    action = choose_by_row(rng, logged[task])
    served = np.where(is_decision, action, choose(rng, planted.SERVED_FORMAT_SHARES, size))
    has_tool = rng.random(size) < planted.TOOL_SHARE
    duration_seconds = (
        planted.MEAN_TURN_SECONDS
        * rng.lognormal(-0.125, 0.5, size)
        * np.where(has_tool, planted.TOOL_LATENCY_FACTOR, 1.0)
        * population.latency_lift[who]
        * population.multiplier["latency"][who]
    )
    likes_style = (population.preferred_style[who] == style).astype(np.int64)
    likes_format = (population.preferred_format[who, task] == served).astype(np.int64)
    copy_probability = copy_probabilities(population, who, task, style, served)
    regeneration_probability = (
        planted.BASE_REGENERATION
        * np.asarray(planted.REGENERATION_STYLE_FACTOR)[likes_style]
        * np.asarray(planted.REGENERATION_FORMAT_FACTOR)[likes_format]
        * population.multiplier["regeneration"][who]
    )
    # One draw decides both: the low end copies, the high end regenerates, never both.
    outcome = rng.random(size)
    is_error = rng.random(size) < planted.TURN_ERROR_SHARE
    gives_feedback = rng.random(size) < planted.FEEDBACK_SHARE
    is_positive = rng.random(size) < (
        planted.POSITIVE_FEEDBACK_BASE
        + planted.POSITIVE_FEEDBACK_PER_MATCH * (likes_style + likes_format)
    )
    return Turns(
        row=row,
        slot=slot,
        time_us=session_start_us[row, slot] + offset_us,
        duration_us=(duration_seconds * 1e6).astype(np.int64) + 1,
        task=task,
        style=style,
        format=served,
        is_decision=is_decision,
        propensity=logged[task, action],
        is_error=is_error,
        has_tool=has_tool,
        is_tool_error=has_tool & (rng.random(size) < planted.TOOL_ERROR_SHARE),
        input_tokens=np.rint(planted.MEAN_INPUT_TOKENS * rng.lognormal(-0.18, 0.6, size)).astype(
            np.int64
        ),
        output_tokens=np.rint(planted.MEAN_OUTPUT_TOKENS * rng.lognormal(-0.245, 0.7, size)).astype(
            np.int64
        ),
        is_copied=~is_error & (outcome < copy_probability),
        is_regenerated=~is_error & (outcome > 1 - regeneration_probability),
        feedback=np.where(
            gives_feedback & ~is_error, np.where(is_positive, POSITIVE, NEGATIVE), NO_FEEDBACK
        ),
    )


def copy_probabilities(
    population: Population, user: IntArray, task: IntArray, style: IntArray, served: IntArray
) -> FloatArray:
    """Probability that each response, if there is one, is copied (all arguments are indices)."""
    likes_style = (population.preferred_style[user] == style).astype(np.int64)
    likes_format = (population.preferred_format[user, task] == served).astype(np.int64)
    probability: FloatArray = (
        planted.BASE_COPY
        * np.asarray(planted.COPY_STYLE_FACTOR)[likes_style]
        * np.asarray(planted.COPY_FORMAT_FACTOR)[likes_format]
        * np.asarray(planted.COPY_TASK_FORMAT_FACTOR)[task, served]
        * population.copy_lift[user]
        * population.multiplier["copy"][user]
    )
    return probability


def _generate_suggestions(
    rng: np.random.Generator,
    population: Population,
    user: IntArray,
    sessions: IntArray,
    first_slot: IntArray,
    session_start_us: IntArray,
) -> Suggestions:
    counts = rng.poisson(population.suggestion_rate[user])
    row = np.repeat(np.arange(len(user)), counts)
    size = len(row)
    who = user[row]
    slot = first_slot[row] + np.floor(rng.random(size) * sessions[row]).astype(np.int64)
    other_language = choose(rng, planted.LANGUAGE_SHARES, size)
    language = np.where(
        rng.random(size) < planted.MAIN_LANGUAGE_SHARE,
        population.main_language[who],
        other_language,
    )
    style = choose(rng, planted.SERVED_SUGGESTION_STYLE_SHARES, size)
    likes = (population.preferred_suggestion_style[who, language] == style).astype(np.int64)
    probability = (
        planted.BASE_ACCEPTANCE
        * np.asarray(planted.ACCEPTANCE_STYLE_FACTOR)[likes]
        * population.acceptance_lift[who]
        * population.multiplier["acceptance"][who]
    )
    is_undecided = rng.random(size) < planted.UNDECIDED_SHARE
    is_accepted = ~is_undecided & (rng.random(size) < probability)
    shape = np.asarray(planted.SURVIVAL_BETA)[likes]
    return Suggestions(
        row=row,
        slot=slot,
        time_us=session_start_us[row, slot] + (10e6 + rng.random(size) * 1500e6).astype(np.int64),
        language=language,
        style=style,
        latency_ms=np.rint(rng.lognormal(5.7, 0.5, size)).astype(np.int64),
        displayed_ms=1 + np.rint(rng.lognormal(7.3, 0.8, size)).astype(np.int64),
        length=1 + np.rint(rng.lognormal(4.0, 0.9, size)).astype(np.int64),
        outcome=np.where(is_undecided, UNDECIDED, np.where(is_accepted, ACCEPTED, REJECTED)),
        has_survival=is_accepted & (rng.random(size) < planted.SURVIVAL_SHARE),
        survival_rate=np.round(rng.beta(shape[:, 0], shape[:, 1]), 4),
    )
