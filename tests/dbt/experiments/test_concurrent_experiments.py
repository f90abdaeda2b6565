"""Moments of the units of two experiments that ran at the same time, against numpy."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from tests.dbt.experiments.model_sql import Row, build, fill, rows
from tests.dbt.experiments.scorecards import NAMES, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTED_AT = datetime.fromisoformat("2026-03-02")


def declare(connection: duckdb.DuckDBPyConnection, experiments: Iterable[Row]) -> None:
    fill(
        connection,
        "stg_declarations__experiments",
        dict.fromkeys(("experiment_name", "unit", "control_variant"), "varchar")
        | {"started_at": "timestamp", "ended_at": "timestamp"},
        [{"unit": "user", "control_variant": "c"} | experiment for experiment in experiments],
    )
    fill(
        connection,
        "stg_declarations__experiment_metrics",
        {"experiment_name": "varchar", "metric_name": "varchar", "role": "varchar"},
        [
            {"experiment_name": "one", "metric_name": "m", "role": "success"},
            {"experiment_name": "one", "metric_name": "side", "role": "exploratory"},
        ],
    )


def test_units_of_both_are_added_up_by_both_variants() -> None:
    generator = np.random.default_rng(8)
    count = 400
    values = {part: generator.normal(2, 1, count) for part in PARTS}
    has_history = generator.random(count) < 0.7
    own = generator.choice(["c", "t"], count)
    other = generator.choice(["c", "t", "u"], count)
    # a third of the units is in `one` only, some of the others saw several variants there
    role = np.where(
        np.arange(count) % 3 == 0, "", generator.choice(["analysed", "several_variants"], count)
    )
    week = timedelta(days=7)
    with duckdb.connect() as connection:
        declare(
            connection,
            [
                {"experiment_name": "one", "started_at": STARTED_AT, "ended_at": STARTED_AT + week},
                {"experiment_name": "beside", "started_at": STARTED_AT - week},
                # begins as `one` ends, ended as it began, and splits something else
                {"experiment_name": "after", "started_at": STARTED_AT + week},
                {
                    "experiment_name": "before",
                    "started_at": STARTED_AT - week,
                    "ended_at": STARTED_AT,
                },
                {"experiment_name": "teams", "started_at": STARTED_AT, "unit": "organization"},
            ],
        )
        fill(
            connection,
            "int_experiment_unit_values",
            {name: kind for name, kind in NAMES.items() if not name.startswith("segment")}
            | {"unit_id": "varchar", "is_latest": "boolean", "has_history": "boolean"}
            | {f"{prefix}{part}": "double" for part in PARTS for prefix in ("raw_", "")},
            [
                {"experiment_name": "one", "metric_name": metric, "kind": "ratio"}
                | {"variant": own[place], "unit_id": f"u{place}", "is_latest": is_latest}
                | {"has_history": bool(has_history[place])}
                | {f"raw_{part}": 10 + values[part][place] for part in PARTS}
                | {part: values[part][place] for part in PARTS}
                for place in range(count)
                for metric, is_latest in [("m", True), ("m", False), ("side", True)]
            ],
        )
        fill(
            connection,
            "int_experiment_units",
            dict.fromkeys(("experiment_name", "unit_id", "variant", "role"), "varchar"),
            [
                {"experiment_name": name, "unit_id": f"u{place}"}
                | {"variant": other[place], "role": role[place]}
                for place in range(count)
                for name in ("beside", "after", "before", "teams")
                if role[place]
            ],
        )
        build(connection, "int_experiment_pair_moments")
        found = rows(connection, "from int_experiment_pair_moments")
    assert {
        (row["experiment_name"], row["metric_name"], row["other_experiment_name"]) for row in found
    } == {("one", "m", "beside")}
    assert {row["other_control_variant"] for row in found} == {"c"}
    cells = {(row["variant"], row["other_variant"]): row for row in found}
    assert len(cells) == len(found) == 2 * 3
    for (variant, other_variant), row in cells.items():
        cell = (own == variant) & (other == other_variant) & (role == "analysed")
        assert row["units"] == cell.sum() > 0
        assert row["units_without_history"] == (cell & ~has_history).sum()
        for place, part in enumerate(PARTS):
            mine = values[part][cell]
            assert row[f"{part}_total"] == pytest.approx((10 + mine).sum(), rel=1e-12)
            assert row[f"{part}_sum"] == pytest.approx(mine.sum(), rel=1e-11)
            for following in PARTS[place:]:
                product = float(mine @ values[following][cell])
                assert row[f"{part}_{following}_sum"] == pytest.approx(product, rel=1e-11)
