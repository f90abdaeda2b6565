"""Planted effects and preferences can be found again, over many worlds."""

from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator import planted, planted_effects, unit_totals
from simulator.behaviour import block_count, generate_block
from simulator.population import assign, build_population

START = date(2026, 3, 2)
Column = NDArray[np.float64]


def effect(
    numerator: Column, denominator: Column, is_control: Column, is_treatment: Column
) -> tuple[float, float]:
    """Relative effect of a ratio and its standard error (delta method)."""
    ratios, variances = [], []
    for chosen in (is_control, is_treatment):
        top, bottom = numerator[chosen], denominator[chosen]
        ratio = top.mean() / bottom.mean()
        ratios.append(ratio)
        variances.append(
            np.var(top - ratio * bottom, ddof=1) / len(top) / bottom.mean() ** 2 / ratio**2
        )
    relative = ratios[1] / ratios[0]
    return relative - 1, relative * float(np.sqrt(sum(variances)))


def metric_columns(columns: dict[str, Column]) -> dict[str, tuple[Column, Column]]:
    ones = np.ones(len(columns["turns"]))
    return {
        "regeneration_rate": (columns["regenerated"], columns["responses"]),
        "copy_rate": (columns["copied"], columns["responses"]),
        "turns_per_user": (columns["turns"], ones),
        "positive_feedback_rate": (
            columns["positive_feedback"],
            columns["positive_feedback"] + columns["negative_feedback"],
        ),
        "turn_latency": (columns["turn_latency_ms"], columns["turns"]),
        "cost_per_turn": (columns["cost_usd"], columns["turns"]),
        "turn_error_rate": (columns["failed_turns"], columns["turns"]),
        "acceptance_rate": (columns["accepted"], columns["accepted"] + columns["rejected"]),
        "edit_survival": (columns["survival_rate"], columns["survival_checks"]),
        "active_days_per_user": (columns["active_days"], ones),
        "tool_success_rate": (
            columns["tool_calls"] - columns["failed_tool_calls"],
            columns["tool_calls"],
        ),
    }


def test_planted_effects_lie_in_their_95_percent_intervals_in_95_percent_of_worlds() -> None:
    worlds = 40
    covered: dict[tuple[str, str, str], list[bool]] = {}
    for seed in range(worlds):
        table = unit_totals(1500, 21, START, seed)
        columns = {name: np.array(table[name]) for name in table.column_names}
        metrics = metric_columns(columns)
        for item in planted_effects():
            if item.metric_name in ("retention_day_7", "turn_latency_p90", "suggestion_funnel"):
                continue  # need days and events, not totals
            served = columns[item.experiment_name]
            experiment = next(e for e in planted.EXPERIMENTS if e.name == item.experiment_name)
            estimate, error = effect(
                *metrics[item.metric_name],
                served == experiment.variants[0],
                served == item.variant,
            )
            key = (item.experiment_name, item.metric_name, item.variant)
            covered.setdefault(key, []).append(abs(estimate - item.relative) < 1.96 * error)
    rates = {key: float(np.mean(hits)) for key, hits in covered.items()}
    # 40 draws of 0.95: fewer than 33 hits happen once in 10,000 times
    assert min(rates.values()) >= 33 / worlds, rates
    # 760 draws, in part dependent: 0.95 give or take 3 to 4 standard errors
    assert 0.92 < np.mean(list(rates.values())) < 0.98, rates


def test_quick_actions_bring_six_percent_more_turns_and_the_sidebar_none() -> None:
    population = build_population(20_000, 28, START, 9)
    happened = generate_block(population, 2, 0)
    turns = np.bincount(happened.turns.row, minlength=len(happened.user))
    expected = population.turn_rate[happened.user]
    for experiment, planted_effect in (("quick-actions", 0.06), ("sidebar-layout", 0.0)):
        variant = population.variant[happened.user, planted.EXPERIMENT_NAMES.index(experiment)]
        # turns against what these very users do on a day takes out who they are
        rates = [turns[variant == arm].sum() / expected[variant == arm].sum() for arm in (0, 1)]
        assert rates[1] / rates[0] - 1 == pytest.approx(planted_effect, abs=0.04)


def test_assignment_matches_the_declared_allocation() -> None:
    users = [f"user-{number:07d}" for number in range(1, 20_001)]
    for experiment in planted.EXPERIMENTS:
        counts = np.bincount([assign(experiment, user) for user in users])
        expected = np.array(experiment.allocation) * len(users)
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        assert chi_square < 16, (experiment.name, counts)  # p = 0.0003 with two degrees


def test_assignments_of_two_experiments_are_independent() -> None:
    users = [f"user-{number:07d}" for number in range(1, 10_001)]
    first, second = (
        np.array([assign(planted.EXPERIMENTS[index], user) for user in users]) for index in (0, 2)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.04


def test_knowing_the_person_beats_popularity_for_style() -> None:
    population = build_population(1500, 28, START, 3)
    trials = np.zeros((population.size, 2))
    copies = np.zeros((population.size, 2))
    for day in range(population.days):
        for block in range(block_count(population)):
            happened = generate_block(population, day, block)
            turns = happened.turns
            user = happened.user[turns.row]
            np.add.at(trials, (user, turns.style), turns.is_copied | turns.is_regenerated)
            np.add.at(copies, (user, turns.style), turns.is_copied)
    mean = copies.sum(axis=0) / trials.sum(axis=0)
    strength = 5.0
    score = (copies + strength * mean) / (trials + strength)
    personal = float((score.argmax(axis=1) == population.preferred_style).mean())
    popular = float(np.mean(population.preferred_style == int(mean.argmax())))
    assert popular == pytest.approx(planted.STYLE_POPULARITY[1], abs=0.04)
    assert personal > popular + 0.05


def test_unit_totals_are_those_of_the_same_world_whatever_the_weekday_of_the_first_day() -> None:
    monday = unit_totals(200, 7, START, 5)
    again = unit_totals(200, 7, START, 5)
    saturday = unit_totals(200, 7, date(2026, 3, 7), 5)
    assert monday.equals(again)
    assert not monday["turns"].equals(saturday["turns"])
