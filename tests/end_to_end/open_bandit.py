"""Open Bandit logs as telemetry: each impression a logged decision, each click an event.

One decision point per logging policy, with the other one as its target.
"""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.orchestration.ingest.otlp import lines, log, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOGS = ("random", "bts")
ITEMS = 80
PRIOR_STRENGTH = 200
RECORDS_PER_REQUEST = 1000
# Bernoulli Thompson sampling promises no floor; uniform random gives each item its share
FLOORS = {"random": 1 / ITEMS, "bts": 0.0}

POINT_COLUMNS = (
    "decision_point,reward_event,reward_attribute,reward_join,reward_window_minutes,"
    "reward_prior_strength,context_attribute,exploration_floor"
)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def records_of(rows: Sequence[dict[str, str]], log_name: str) -> Iterator[Any]:
    """Yield the records of a log; decision and click of an impression share a trace."""
    for index, row in enumerate(rows):
        moment = datetime.fromisoformat(row["timestamp"])
        nanos = (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * 1000
        visit = {"session.id": f"{log_name}-{index}"}
        trace = f"{LOGS.index(log_name) + 1:016x}{index:016x}"
        choice = {
            "feature_flag.key": log_name,
            "feature_flag.result.variant": row["item_id"],
            "feature_flag.result.reason": "split",
            "decision.propensity": float(row["propensity_score"]),
            "decision.position": int(row["position"]),
        }
        yield log("feature_flag.evaluation", nanos=nanos, traceId=trace, attributes=visit | choice)
        if row["click"] == "1":
            # told twice, decision and click: either counts once
            late = nanos + 10**6
            yield log(
                "feature_flag.evaluation", nanos=late, traceId=trace, attributes=visit | choice
            )
            for second in (1, 2):
                clicked = nanos + second * 10**9
                yield log("item.clicked", nanos=clicked, traceId=trace, attributes=visit)


def telemetry(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of one inbox file per log."""
    for name in LOGS:
        records = list(records_of(rows_of(folder / f"{name}.csv"), name))
        starts = range(0, len(records), RECORDS_PER_REQUEST)
        requests = (request(*records[start : start + RECORDS_PER_REQUEST]) for start in starts)
        yield f"{name}.jsonl", lines(*requests)


def declarations(folder: Path) -> dict[str, str]:
    """Return the declarations to lay over the project's: each log is judged by the other policy."""
    points = [f"{name},item.clicked,,trace,60,{PRIOR_STRENGTH},,{FLOORS[name]}" for name in LOGS]
    # uniform at each position: a policy that names none holds in all
    policies = [f"random,bts,,,{item},{1 / ITEMS}" for item in range(ITEMS)]
    policies += [
        f"bts,random,,{row['position']},{row['item_id']},{row['probability']}"
        for row in rows_of(folder / "bts_action_distribution.csv")
    ]
    return {
        "preferences/decision_points.csv": "\n".join(
            (
                POINT_COLUMNS,
                *points,
                "",
            )
        ),
        "preferences/target_policies.csv": "\n".join(
            ("policy_name,decision_point,context,position,action,probability", *policies, "")
        ),
    }
