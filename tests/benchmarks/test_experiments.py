"""The benchmark of scorecards runs the models as they are now; what it prints is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.experiments import time_scorecards

if TYPE_CHECKING:
    import pytest


def test_ready_moments_become_results(capsys: pytest.CaptureFixture[str]) -> None:
    time_scorecards(experiments=2, metrics=3, arms=3)
    # two treatments of three metrics, with and without each adjustment of theirs
    assert "18 rows of moments to 36 of results (36 ok)" in capsys.readouterr().out
