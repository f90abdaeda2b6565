"""Totals per user straight from the simulated behaviour, without writing or reading telemetry.

A test of a statistical method over many seeds needs only these; it would wait for minutes if every
world went through files and a warehouse.
"""

from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa

from simulator import planted
from simulator.behaviour import (
    ACCEPTED,
    NEGATIVE,
    POSITIVE,
    REJECTED,
    DayBlock,
    block_count,
    generate_block,
)
from simulator.population import FloatArray, Population, build_population

MICROSECONDS_PER_MILLISECOND: Final = 1000.0


def unit_totals(users: int, days: int, start: date, seed: int) -> pa.Table:
    """What every user did in a whole world, one row per user.

    Args:
        users: number of users.
        days: length of the world in days.
        start: first day (the weekday matters).
        seed: the same seed as in `simulate` gives the same world.

    Returns:
        `user_id`, one column per experiment with the served variant, and totals: `active_days`,
        `turns`, `failed_turns`, `turn_latency_ms`, `cost_usd`, `tool_calls`, `failed_tool_calls`,
        `responses`, `copied`, `regenerated`, `positive_feedback`, `negative_feedback`, `accepted`,
        `rejected`, `survival_checks`, `survival_rate` (the sum over checks). Users who have not
        been seen have zeros. Nobody is left out: neither the erased, nor those who withdrew their
        consent, nor those whose exposure was lost (`is_unreported_<experiment>`).
    """
    population = build_population(users, days, start, seed)
    totals: dict[str, FloatArray] = {}
    for day in range(days):
        for block in range(block_count(population)):
            for name, values in _block_totals(
                population, generate_block(population, day, block)
            ).items():
                totals[name] = totals.get(name, np.zeros(users)) + values
    columns: dict[str, Any] = {"user_id": pa.array(population.user_ids, pa.string())}
    for column, experiment in enumerate(planted.EXPERIMENTS):
        names = np.array(experiment.variants)[population.variant[:, column]]
        columns[experiment.name] = pa.array(names, pa.string())
    lost = planted.EXPERIMENT_NAMES.index(planted.UNREPORTED_EXPERIMENT)
    columns[f"is_unreported_{planted.UNREPORTED_EXPERIMENT}"] = pa.array(
        population.is_unreported[:, lost]
    )
    return pa.table(columns | {name: pa.array(values) for name, values in totals.items()})


def _block_totals(population: Population, block: DayBlock) -> dict[str, FloatArray]:
    turns, suggestions = block.turns, block.suggestions
    model = planted.EXPERIMENT_NAMES.index("chat-model")
    prices = np.asarray(planted.MODEL_PRICES_USD)[population.variant[block.user[turns.row], model]]
    cost_usd = (turns.input_tokens * prices[:, 0] + turns.output_tokens * prices[:, 1]) / 1e6

    def of_turns(values: Any) -> FloatArray:
        return np.bincount(block.user[turns.row], values, population.size).astype(np.float64)

    def of_suggestions(values: Any) -> FloatArray:
        return np.bincount(block.user[suggestions.row], values, population.size).astype(np.float64)

    return {
        "active_days": np.bincount(block.user, minlength=population.size).astype(np.float64),
        "turns": of_turns(np.ones(len(turns.row))),
        "failed_turns": of_turns(turns.is_error),
        "turn_latency_ms": of_turns(turns.duration_us / MICROSECONDS_PER_MILLISECOND),
        "cost_usd": of_turns(np.where(turns.is_error, 0.0, cost_usd)),
        "tool_calls": of_turns(turns.has_tool),
        "failed_tool_calls": of_turns(turns.is_tool_error),
        "responses": of_turns(~turns.is_error),
        "copied": of_turns(turns.is_copied),
        "regenerated": of_turns(turns.is_regenerated),
        "positive_feedback": of_turns(turns.feedback == POSITIVE),
        "negative_feedback": of_turns(turns.feedback == NEGATIVE),
        "accepted": of_suggestions(suggestions.outcome == ACCEPTED),
        "rejected": of_suggestions(suggestions.outcome == REJECTED),
        "survival_checks": of_suggestions(suggestions.has_survival),
        "survival_rate": of_suggestions(
            np.where(suggestions.has_survival, suggestions.survival_rate, 0.0)
        ),
    }
