"""What the summary says follows from the marts, verdicts too."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from orchestration.lib import render
from orchestration.lib.report import Decision, ExperimentReport, LedgerTotals, MetricResult

CLICKS = MetricResult(
    experiment_name="e",
    metric_name="clicks",
    role="success",
    treatment="treatment",
    better="up",
    adjustment="none",
    interval_kind="fixed_horizon",
    units=100,
    relative_effect=0.0594,
    lower=0.0107,
    upper=0.1081,
    alpha=0.05,
    is_tested=True,
    verdict="better",
    status="ok",
)
SHIP = Decision("e", "treatment", "ship", "Better on clicks.")


def shown(report: ExperimentReport) -> list[str]:
    """The lines that a terminal shows, spaces between columns reduced to two."""
    console = Console(file=StringIO(), width=200)
    console.print(render.experiment(report))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    return ["  ".join(part.strip() for part in line.split("  ") if part.strip()) for line in lines]


@pytest.mark.parametrize(
    ("lower", "upper", "verdict", "expected"),
    [
        (0.01, 0.2, "better", "better"),
        (0.01, 0.2, "worse", "worse"),
        # other comparisons count too: an interval that leaves 0 out is no verdict
        (0.01, 0.2, None, "no clear difference"),
        # shown at an earlier look
        (-0.1, 0.1, "better", "better"),
        (None, 0.1, "worse", "worse"),
        (None, 0.1, None, "unbounded"),
        (0.01, 0.2, "not judged", "not judged"),
    ],
)
def test_a_direction_is_the_verdict_of_the_marts(
    lower: float | None, upper: float | None, verdict: Any, expected: str
) -> None:
    assert replace(CLICKS, lower=lower, upper=upper, verdict=verdict).direction == expected


def test_without_numbers_there_is_no_direction() -> None:
    assert replace(CLICKS, status="one_unit").direction == "unknown"


def test_a_fixed_test_before_its_time_says_nothing() -> None:
    assert replace(CLICKS, is_tested=False).direction == "not tested yet"


def test_effect_and_interval_have_one_unit() -> None:
    lines = shown(ExperimentReport("e", [SHIP], [CLICKS]))
    assert "e: ship - Better on clicks." in lines
    assert "treatment  effect  95% interval" in lines
    assert "clicks  +5.9%  [+1.1%, +10.8%]  better" in lines


def test_the_interval_is_named() -> None:
    sequential = replace(CLICKS, interval_kind="always_valid", alpha=0.005)
    lines = shown(ExperimentReport("e", [SHIP], [sequential]))
    assert "treatment  effect  99.5% always-valid interval" in lines


def test_a_missing_estimate_shows_its_reason() -> None:
    missing = replace(CLICKS, relative_effect=None, lower=None, upper=None, status="missing_arm")
    assert "clicks  missing_arm" in shown(ExperimentReport("e", [SHIP], [missing]))


def test_treatments_are_decided_on_one_by_one() -> None:
    other = replace(SHIP, treatment="other", decision="do_not_ship", reason="Worse on clicks.")
    lines = shown(ExperimentReport("e", [SHIP, other], [CLICKS]))
    assert "treatment: ship - Better on clicks." in lines
    assert "other: do not ship - Worse on clicks." in lines


def test_what_holds_for_all_treatments_is_said_once() -> None:
    invalid = [Decision("e", each, "invalid", "Units do not split.") for each in ("a", "b")]
    lines = shown(ExperimentReport("e", invalid, []))
    assert [line for line in lines if "Units" in line] == ["e: invalid - Units do not split."]


def test_the_ledger_balances_when_everything_stands_somewhere() -> None:
    assert LedgerTotals(1, 10, 6, 2, 1, 1).is_balanced
    assert not LedgerTotals(1, 10, 6, 2, 1, 0).is_balanced
