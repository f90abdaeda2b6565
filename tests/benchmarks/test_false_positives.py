"""A small run of the simulation that docs/experiments.md sums up: rates within binomial bounds."""

from __future__ import annotations

import io

import duckdb
import numpy as np
import pytest
from rich.console import Console

from benchmarks.false_positives import (
    ESTIMATES,
    LIFT,
    METRICS,
    TO_MOMENTS,
    TO_RESULTS,
    Models,
    Plan,
    Rate,
    coverage_rates,
    declare,
    draw,
    false_positive_rates,
    judge,
    sample_ratio_rates,
    split,
)
from orchestration.lib.progress import Stages
from tests.dbt.experiments.model_sql import rows

PLAN = Plan(experiments=200, units=600, looks=28, seed=1)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


@pytest.fixture
def stages() -> Stages:
    return Stages(Console(file=io.StringIO()))


def assert_hold(rates: list[Rate]) -> None:
    broken = [rate for rate in rates if not rate.holds]
    assert not broken, [(rate, rate.share, rate.bounds) for rate in broken]


def test_rates_without_an_effect_are_as_promised_at_the_end_and_read_daily(
    models: Models, stages: Stages
) -> None:
    rates = false_positive_rates(judge(models, np.random.default_rng(2), PLAN, stages), PLAN)
    assert_hold(rates)
    assert {rate.total for rate in rates} == {PLAN.experiments}
    # at the end, and daily those that have looks: Lin's has none
    at_end = [rate for rate in rates if rate.promised and not rate.is_ceiling]
    daily = [rate for rate in rates if rate.is_ceiling]
    assert [rate.subject for rate in at_end] == list(ESTIMATES.values())
    assert len(daily) == len(METRICS) + 2
    # the looks are there to be misread: daily reading of the test for the end is far off
    naive = [rate for rate in rates if rate.promised is None]
    assert len(naive) == len(METRICS) + 1
    for rate in naive:
        assert rate.share > at_end[0].bounds[1]


def test_nothing_may_be_read_at_any_time_before_variances_are_known(models: Models) -> None:
    with duckdb.connect() as connection:
        declare(connection, ["one"], PLAN.units, PLAN.looks)
        draw(connection, np.random.default_rng(5), ["one"], PLAN, lift=0.0)
        models.build(connection, TO_MOMENTS + TO_RESULTS)
        looks = rows(connection, "select * from rpt_experiment_results_daily order by as_of_date")
    judged = [look for look in looks if look["status"] == "ok"]
    reasons = {look["metric_name"]: set[str | None]() for look in judged}
    for look in judged:
        reasons[look["metric_name"]].add(look["sequential_missing_reason"])
        # an uncertain control leaves the test standing, but no bounded change in percent of it
        has_verdict = look["sequential_missing_reason"] in (None, "weak_denominator")
        has_interval = look["sequential_missing_reason"] is None
        assert (look["log_e_value"] is not None) is has_verdict
        assert (look["sequential_ci_lower"] is not None) is has_interval
    assert {metric: found - {"weak_denominator"} for metric, found in reasons.items()} == {
        "spend": {"too_few_units", None},
        "conversion": {"too_few_units", None},
        "click_rate": {"sparse_denominator", None},
    }
    last = [look for look in judged if look["metric_name"] == "click_rate"][-1]
    assert last["sequential_missing_reason"] is None


def test_relative_intervals_contain_the_planted_effect_as_often_as_promised(
    models: Models, stages: Stages
) -> None:
    rates = coverage_rates(judge(models, np.random.default_rng(3), PLAN, stages, LIFT))
    assert [rate.subject for rate in rates] == list(ESTIMATES.values())
    assert {rate.total for rate in rates} == {PLAN.experiments}
    assert_hold(rates)


@pytest.mark.parametrize(("share", "holds"), [(0.5, True), (0.45, False)])
def test_sample_ratio_tests_fail_as_rarely_as_promised_and_where_units_are_lost(
    models: Models, share: float, holds: bool
) -> None:
    rates = sample_ratio_rates(split(models, np.random.default_rng(4), PLAN, share), PLAN)
    assert [rate.holds for rate in rates] == [holds, holds]


@pytest.mark.parametrize(
    ("count", "is_ceiling", "holds"),
    [
        (68, False, False),
        (69, False, True),
        (133, False, True),
        (134, False, False),
        (0, True, True),
        (131, True, True),
        (132, True, False),
    ],
)
def test_bounds_are_those_of_the_binomial(count: int, is_ceiling: bool, holds: bool) -> None:
    rate = Rate("", "", count, 2000, 0.05, is_ceiling)
    assert rate.holds is holds
