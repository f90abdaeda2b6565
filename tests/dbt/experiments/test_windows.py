"""What counts when: covariates end with the exposure, days since exposure are whole days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.dbt.experiments.model_sql import Row, build, fill, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

# UTC without zone, as in the warehouse
STARTED_AT = datetime.fromisoformat("2026-03-02")
ENDED_AT = STARTED_AT + timedelta(days=14)
HOURLY = {"control": 1.0, "treatment": 1.25}
HOURS = 24


def declare(connection: duckdb.DuckDBPyConnection, units: Iterable[Row], **metric: object) -> None:
    """An experiment on users that has ended, its units and its one metric `m`, a mean."""
    fill(
        connection,
        "stg_declarations__experiments",
        {"experiment_name": "varchar", "unit": "varchar", "control_variant": "varchar"}
        | {"ended_at": "timestamp", "alpha": "double"},
        [
            {
                "experiment_name": "e",
                "unit": "user",
                "control_variant": "control",
                "ended_at": ENDED_AT,
                "alpha": 0.05,
            }
        ],
    )
    fill(
        connection,
        "stg_declarations__experiment_metrics",
        {"experiment_name": "varchar", "metric_name": "varchar"},
        [{"experiment_name": "e", "metric_name": "m"}],
    )
    fill(
        connection,
        "int_metrics_declared",
        {"metric_name": "varchar", "kind": "varchar", "cap_quantile": "double"}
        | {"quantile": "double", "delay_days": "integer", "window_days": "integer"}
        | {"covariate_days": "integer"},
        [{"metric_name": "m", "kind": "mean", "delay_days": 0, **metric}],
    )
    fill(
        connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": ENDED_AT + timedelta(days=30)}]
    )
    fill(
        connection,
        "int_experiment_units",
        {"experiment_name": "varchar", "unit_id": "varchar", "variant": "varchar"}
        | {"role": "varchar", "first_exposed_at": "timestamp", "analysed_from": "timestamp"},
        [{"experiment_name": "e", "role": "analysed", **unit} for unit in units],
    )


def put_events(
    connection: duckdb.DuckDBPyConnection, events: Iterable[tuple[str, datetime, float]]
) -> None:
    """What units did, as (unit_id, when, how much)."""
    fill(
        connection,
        "int_experiment_unit_events",
        {"unit": "varchar", "unit_id": "varchar", "metric_name": "varchar"}
        | {"occurred_at": "timestamp", "numerator": "double", "denominator": "double"},
        [
            {
                "unit": "user",
                "unit_id": unit_id,
                "metric_name": "m",
                "occurred_at": at,
                "numerator": value,
            }
            for unit_id, at, value in events
        ],
    )


def test_a_covariate_ends_with_the_first_exposure_where_a_trigger_comes_later() -> None:
    exposed_at = STARTED_AT + timedelta(hours=9)
    triggered_at = exposed_at + timedelta(days=2)
    with duckdb.connect() as connection:
        declare(
            connection,
            [
                {
                    "unit_id": "u",
                    "variant": "control",
                    "first_exposed_at": exposed_at,
                    "analysed_from": triggered_at,
                }
            ],
            covariate_days=7,
        )
        put_events(
            connection,
            [
                ("u", exposed_at - timedelta(days=7, seconds=1), 1000.0),
                ("u", exposed_at - timedelta(days=7), 1.0),
                ("u", exposed_at - timedelta(seconds=1), 10.0),
                # what the treatment may have changed
                ("u", exposed_at + timedelta(days=1), 100.0),
            ],
        )
        build(connection, "int_experiment_windows", "int_experiment_covariates")
        assert [row["numerator"] for row in rows(connection, "from int_experiment_covariates")] == [
            11.0
        ]


def test_who_does_the_same_every_day_has_the_same_effect_on_every_day_since_exposure() -> None:
    units: list[Row] = [
        {
            "unit_id": f"{variant}-{number}",
            "variant": variant,
            "first_exposed_at": STARTED_AT + timedelta(hours=5 * number),
            "analysed_from": STARTED_AT + timedelta(hours=5 * number),
        }
        for variant in HOURLY
        for number in range(30)
    ]
    with duckdb.connect() as connection:
        declare(connection, units)
        put_events(
            connection,
            [
                # after the end too, which counts for nothing
                (unit["unit_id"], unit["analysed_from"] + timedelta(hours=hour), each)
                for unit in units
                for each in [HOURLY[unit["variant"]]]
                for hour in range(20 * HOURS)
            ],
        )
        build(
            connection,
            "int_experiment_windows",
            "int_experiment_unit_ages",
            "rpt_experiment_effects_by_age",
        )
        ages = rows(connection, "from rpt_experiment_effects_by_age order by days_since_exposure")
    # 14 whole days of who came first, fewer of the others
    assert [age["days_since_exposure"] for age in ages] == list(range(14))
    for age in ages:
        assert age["control_value"] == pytest.approx(HOURS * HOURLY["control"], rel=1e-12)
        assert age["treatment_value"] == pytest.approx(HOURS * HOURLY["treatment"], rel=1e-12)
