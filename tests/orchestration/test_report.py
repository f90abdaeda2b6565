"""Verdicts follow from intervals, directions and health alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration.lib.report import FailedCheck, LedgerTotals, MetricResult, judge

CLICKS = MetricResult(
    experiment_name="e",
    metric_name="clicks",
    role="success",
    treatment="treatment",
    better="up",
    units=100,
    control_value=0.5,
    treatment_value=0.6,
    effect=0.1,
    lower=0.05,
    upper=0.15,
    relative_effect=0.2,
    alpha=0.05,
    status="ok",
)
ERRORS = replace(CLICKS, metric_name="errors", role="guardrail", better="down")


@pytest.mark.parametrize(
    ("lower", "upper", "better", "expected"),
    [
        (0.01, 0.2, "up", "better"),
        (0.01, 0.2, "down", "worse"),
        (-0.2, -0.01, "up", "worse"),
        (-0.2, -0.01, "down", "better"),
        (-0.1, 0.1, "up", "no clear difference"),
        (0.0, 0.1, "up", "no clear difference"),
        (None, 0.1, "up", "unknown"),
    ],
)
def test_a_direction_is_which_side_of_zero_the_interval_lies_on(
    lower: float | None, upper: float | None, better: str, expected: str
) -> None:
    assert replace(CLICKS, lower=lower, upper=upper, better=better).direction == expected


def test_without_numbers_there_is_no_direction() -> None:
    assert replace(CLICKS, status="one_unit").direction == "unknown"


def test_a_failed_check_comes_before_every_number() -> None:
    found = judge("e", [CLICKS], [FailedCheck("e", "sample_ratio", "Units do not split.")])
    assert (found.verdict, found.reason) == ("invalid", "Units do not split.")


def test_harm_comes_before_success() -> None:
    found = judge("e", [CLICKS, ERRORS], [])
    assert (found.verdict, found.reason) == ("harmful", "worse on errors")


def test_success_needs_a_success_metric() -> None:
    assert judge("e", [CLICKS], []).verdict == "better"
    guardrail = replace(CLICKS, role="guardrail")
    assert judge("e", [guardrail], []).verdict == "no clear difference"


def test_exploratory_metrics_decide_nothing() -> None:
    harm = replace(CLICKS, role="exploratory", better="down")
    assert judge("e", [CLICKS, harm], []).verdict == "better"
    assert judge("e", [harm], []).verdict == "no data"


def test_no_data_says_why() -> None:
    found = judge("e", [replace(CLICKS, status="missing_arm")], [])
    assert (found.verdict, found.reason) == ("no data", "no effect can be computed: missing_arm")
    assert "no metrics are declared" in judge("e", [], []).reason


def test_several_treatments_are_told_apart() -> None:
    found = judge("e", [CLICKS, replace(CLICKS, treatment="other")], [])
    assert "clicks (treatment), clicks (other)" in found.reason


def test_the_ledger_balances_when_everything_stands_somewhere() -> None:
    assert LedgerTotals(1, 10, 6, 2, 1, 1).is_balanced
    assert not LedgerTotals(1, 10, 6, 2, 1, 0).is_balanced
