"""The planted truth as Parquet tables, for tests and demonstrations; never telemetry.

The tables hold raw user ids, which no warehouse ever sees: keep them out of the inbox.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator import planted
from simulator.behaviour import copy_probabilities
from simulator.population import NEVER, Population


def write_truth(population: Population, truth_dir: Path) -> list[str]:
    """Writes every truth table as `<name>.parquet` and returns the names.

    The tables depend on the world only, not on which of its days were emitted.
    """
    truth_dir.mkdir(parents=True, exist_ok=True)
    tables = truth_tables(population)
    for name, table in tables.items():
        pq.write_table(table, truth_dir / f"{name}.parquet", compression="zstd")
    return list(tables)


def truth_tables(population: Population) -> dict[str, pa.Table]:
    """All truth tables by name."""
    return {
        "truth_experiments": experiment_truth(),
        "truth_preferences": preference_truth(population),
        "truth_consents": consent_truth(population),
        "truth_decisions": decision_truth(population),
        "truth_users": user_truth(population),
        "truth_assignments": assignment_truth(population),
    }


def experiment_truth() -> pa.Table:
    """One row per experiment, metric and treatment variant; unknown absolute effects are null."""
    effects = planted.planted_effects()
    return pa.table(
        {
            "experiment_name": pa.array([effect.experiment_name for effect in effects]),
            "metric_name": pa.array([effect.metric_name for effect in effects]),
            "variant": pa.array([effect.variant for effect in effects]),
            "true_relative_effect": pa.array([effect.relative for effect in effects], pa.float64()),
            "true_absolute_effect": pa.array([effect.absolute for effect in effects], pa.float64()),
        }
    )


def preference_truth(population: Population) -> pa.Table:
    """One row per user, dimension and context; the context is '' where there is none."""
    users = np.array(population.user_ids)
    parts: list[pa.Table] = []

    def add(dimension: str, context: str, values: tuple[str, ...], liked: Any) -> None:
        parts.append(
            pa.table(
                {
                    "user_id": pa.array(users, pa.string()),
                    "dimension": pa.array([dimension] * len(users), pa.string()),
                    "context": pa.array([context] * len(users), pa.string()),
                    "value": pa.array(np.array(values)[liked], pa.string()),
                }
            )
        )

    add("answer_style", "", planted.STYLES, population.preferred_style)
    for index, task in enumerate(planted.TASKS):
        add("answer_format", task, planted.FORMATS, population.preferred_format[:, index])
    for index, language in enumerate(planted.LANGUAGES):
        liked = population.preferred_suggestion_style[:, index]
        add("suggestion_style", language, planted.SUGGESTION_STYLES, liked)
    return pa.concat_tables(parts)


def consent_truth(population: Population) -> pa.Table:
    """One row per change of consent, with the id of the person even before the sign-in."""
    midnight = datetime.combine(population.start, datetime.min.time(), tzinfo=UTC)
    rows = [
        {
            "user_id": population.user_ids[control.user],
            "purpose": control.attributes[0][1],
            "granted": control.attributes[1][1],
            "changed_at": (
                midnight + timedelta(days=control.day, microseconds=control.time_us)
            ).replace(tzinfo=None),
        }
        for day in sorted(population.controls)
        for control in population.controls[day]
        if control.event_name == "user.consent.changed"
    ]
    schema = pa.schema(
        {
            "user_id": pa.string(),
            "purpose": pa.string(),
            "granted": pa.bool_(),
            "changed_at": pa.timestamp("us"),
        }
    )
    return pa.Table.from_pylist(rows, schema=schema)


def decision_truth(population: Population) -> pa.Table:
    """The expected reward of every action in every context.

    The mean over users, each weighted by the number of decisions expected of them in that
    context; turns that fail, and so show no response, earn nothing.
    """
    observed_days = np.minimum(population.erase_day + 1, population.days) - population.start_day
    turns = (
        population.turn_rate
        * population.multiplier["turns"]
        * population.active_probability
        * np.maximum(observed_days, 1)
    )
    users = np.arange(population.size)
    rows = []
    for task, context in enumerate(planted.TASKS):
        weight = turns * np.asarray(planted.TASK_SHARES_BY_ROLE)[population.role, task]
        for action, name in enumerate(planted.FORMATS):
            reward = np.zeros(population.size)
            for style, share in enumerate(planted.SERVED_STYLE_SHARES):
                reward += share * copy_probabilities(
                    population,
                    users,
                    np.full_like(users, task),
                    np.full_like(users, style),
                    np.full_like(users, action),
                )
            mean = float(np.average(reward, weights=weight)) * (1 - planted.TURN_ERROR_SHARE)
            rows.append(
                {
                    "decision_point": planted.DECISION_POINT,
                    "context": context,
                    "action": name,
                    "true_reward_mean": mean,
                    "logged_probability": planted.logged_probabilities(task)[action],
                    "context_share": float(weight.sum() / turns.sum()),
                }
            )
    return pa.Table.from_pylist(rows)


def user_truth(population: Population) -> pa.Table:
    """One row per user: segments, habits, and the dates of sign-in, unlinking and erasure."""
    anonymous = population.is_anonymous_start.tolist()
    last = population.days
    never = np.full(population.size, NEVER)

    def dates(days: Any) -> pa.Array:
        values: list[date | None] = [
            population.start + timedelta(days=day) if day < last else None for day in days.tolist()
        ]
        return pa.array(values, pa.date32())

    return pa.table(
        {
            "user_id": pa.array(population.user_ids, pa.string()),
            "plan": pa.array(np.array(planted.PLANS)[population.plan], pa.string()),
            "role": pa.array(np.array(planted.ROLES)[population.role], pa.string()),
            "activity": pa.array(population.active_probability),
            "turns_per_active_day": pa.array(population.turn_rate),
            "suggestions_per_active_day": pa.array(population.suggestion_rate),
            "anonymous_id": pa.array(
                [
                    name if hidden else None
                    for name, hidden in zip(population.anonymous_ids, anonymous, strict=True)
                ],
                pa.string(),
            ),
            "first_date": dates(population.start_day),
            "identified_date": dates(
                np.where(population.is_anonymous_start, population.identify_day, never)
            ),
            "unlinked_date": dates(population.unlink_day),
            "erased_date": dates(population.erase_day),
        }
    )


def assignment_truth(population: Population) -> pa.Table:
    """One row per user and experiment: the variant served and how its report is faulty."""
    parts = []
    for column, experiment in enumerate(planted.EXPERIMENTS):
        parts.append(
            pa.table(
                {
                    "user_id": pa.array(population.user_ids, pa.string()),
                    "experiment_name": pa.array([experiment.name] * population.size, pa.string()),
                    "variant": pa.array(
                        np.array(experiment.variants)[population.variant[:, column]], pa.string()
                    ),
                    "is_unreported": pa.array(population.is_unreported[:, column]),
                    "is_reported_twice": pa.array(
                        population.other_variant_from_day[:, column] < NEVER
                    ),
                }
            )
        )
    return pa.concat_tables(parts)
