"""Quantiles of values that repeat, by simulation through the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from tests.dbt.experiments.model_sql import build, rows
from tests.dbt.experiments.scorecards import Comparison, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dbt.experiments.model_sql import Row

EXPERIMENTS = 200
UNITS = 400


def judged(draw: Callable[[np.random.Generator], np.ndarray], quantile: float) -> list[Row]:
    """Experiments of two equal arms, one event a unit, as the scorecard judges them."""
    generator = np.random.default_rng(4)
    value = np.concatenate([draw(generator) for _ in range(2 * EXPERIMENTS)])
    place = np.arange(len(value))
    drawn = {"place": place, "value": value.astype(float), "arm": place // UNITS}
    with duckdb.connect() as connection:
        connection.register("drawn", drawn)
        connection.execute(
            "create table int_experiment_windows as select concat('e', arm // 2) as experiment_name, "
            "'m' as metric_name, 'quantile' as kind, "
            "case when arm % 2 = 0 then 'control' else 'treatment' end as variant, 'user' as unit, "
            "concat('u', place) as unit_id, true as is_mature, false as has_window, "
            "null::date as entered_on, ?::double as quantile, "
            "timestamp '2026-01-01' as window_start, timestamp '2026-02-01' as window_end from drawn",
            [quantile],
        )
        connection.execute(
            "create table int_experiment_unit_events as select 'user' as unit, "
            "concat('u', place) as unit_id, 'm' as metric_name, "
            "timestamp '2026-01-02' as occurred_at, value as numerator from drawn"
        )
        connection.execute(
            "create table int_experiment_unit_segments as select experiment_name, unit_id, "
            "'all' as segment_name, 'all' as segment_value from int_experiment_windows"
        )
        build(connection, "int_experiment_quantiles")
        arms: dict[str, dict[str, Row]] = {}
        names = "experiment_name, metric_name, kind, segment_name, segment_value"
        for row in rows(
            connection,
            f"select * exclude ({names}), experiment_name as name "
            "from int_experiment_quantiles where is_final",
        ):
            arms.setdefault(row.pop("name"), {})[row.pop("variant")] = row
    comparisons = [
        Comparison(name, kind="quantile", quantiles=quantiles) for name, quantiles in arms.items()
    ]
    return list(judge(comparisons).values())


@pytest.mark.parametrize(("mean", "quantile"), [(4, 0.5), (4, 0.9), (100, 0.5), (300, 0.5)])
def test_tied_values_are_not_called_different(mean: float, quantile: float) -> None:
    found = judged(lambda generator: generator.poisson(mean, UNITS), quantile)
    significant = [row for row in found if row["status"] == "ok" and row["p_value"] <= 0.05]
    assert len(found) == EXPERIMENTS
    # the binomial's bound at 99.9%
    assert len(significant) <= 21
    if mean < 10:
        assert {row["status"] for row in found} == {"tied_values"}


@pytest.mark.parametrize("digits", [None, 0])
def test_values_that_hardly_repeat_are_judged(digits: int | None) -> None:
    def draw(generator: np.random.Generator) -> np.ndarray:
        milliseconds = generator.lognormal(np.log(400), 0.6, UNITS)
        return milliseconds if digits is None else milliseconds.round(digits)

    found = judged(draw, 0.9)
    assert {row["status"] for row in found} == {"ok"}
    assert 1 <= sum(row["p_value"] <= 0.05 for row in found) <= 21
