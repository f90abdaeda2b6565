"""Made-up logged decisions with what off-policy values are computed from."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np

from tests.dbt.experiments.model_sql import build, fill

VARIABLES = {
    "switch_weight_limit": 10.0,
    "effective_sample_size_minimum": 100.0,
    "unsupported_share_limit": 0.01,
}
OFF_POLICY_MODELS = (
    "int_decision_cells",
    "int_policy_cells",
    "int_policy_moments",
    "rpt_policy_values",
)
DECISIONS = {
    "event_id": "varchar",
    "decision_point": "varchar",
    "user_id": "varchar",
    "context": "varchar",
    "position": "bigint",
    "action": "varchar",
    "propensity": "double",
    "reward": "double",
}
POINTS = {
    "decision_point": "varchar",
    "reward_prior_strength": "double",
    "reward_model_folds": "bigint",
}
POLICIES = {
    "policy_name": "varchar",
    "decision_point": "varchar",
    "context": "varchar",
    "position": "bigint",
    "action": "varchar",
    "probability": "double",
}
CONTEXTS, ACTIONS = ("fix", "write"), ("a", "b", "c")
LOGGED = {"fix": (0.6, 0.3, 0.1), "write": (0.2, 0.3, 0.5)}
TARGET = {"a": 0.1, "b": 0.2, "c": 0.7}
STRENGTH = 5.0


def logged(decisions: int, users: int, seed: int = 5) -> list[dict[str, Any]]:
    """Draw decisions of a logging policy; some users are unknown, rewards are shares."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(decisions):
        context = CONTEXTS[rng.integers(2)]
        action = int(rng.choice(3, p=LOGGED[context]))
        user = int(rng.integers(users))
        rows.append(
            {
                "event_id": f"e{number}",
                "decision_point": "point",
                "user_id": f"u{user}" if user % 10 else None,
                "context": context,
                "position": 0,
                "action": ACTIONS[action],
                "propensity": LOGGED[context][action],
                "reward": float(
                    rng.choice((0.0, 0.25, 1.0), p=(0.6 - 0.2 * action, 0.2, 0.2 + 0.2 * action))
                ),
            }
        )
    return rows


def put_policy_values(
    connection: duckdb.DuckDBPyConnection, decisions: list[dict[str, Any]], *, folds: int
) -> None:
    """Build rpt_policy_values of the target policy on these decisions."""
    fill(connection, "fct_decisions", DECISIONS, decisions)
    fill(
        connection,
        "stg_declarations__decision_points",
        POINTS,
        [
            {
                "decision_point": "point",
                "reward_prior_strength": STRENGTH,
                "reward_model_folds": folds,
            }
        ],
    )
    fill(
        connection,
        "int_target_policies",
        POLICIES,
        [
            {"policy_name": "p", "decision_point": "point", "action": action, "probability": share}
            for action, share in TARGET.items()
        ],
    )
    build(connection, *OFF_POLICY_MODELS, variables=VARIABLES)
