"""What the hot path does after a turn that failed."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from orchestration import cli
from orchestration.lib import dbt_runner, runs
from orchestration.lib import steps as steps_module
from orchestration.lib.errors import AttuneError
from orchestration.lib.home import workspace_from
from orchestration.lib.progress import Stages

if TYPE_CHECKING:
    from pathlib import Path


LOADED_AT = datetime(2026, 3, 9, 0, 1, tzinfo=UTC)


class Steps:
    """Steps that are noted, and fail where they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = ["batch"]
        self.failing = ""
        self.day: date | None = LOADED_AT.date()
        self.done: list[str] = []
        self.excluded: list[str | None] = []
        built = SimpleNamespace(statuses={"success": 3}, model_seconds={})
        for module, name, answer in (
            (steps_module, "ingest", SimpleNamespace(refused=[], loaded_at=LOADED_AT)),
            (dbt_runner, "build", built),
            (steps_module, "sync", SimpleNamespace(moved=1)),
        ):
            monkeypatch.setattr(module, name, self._step(name, answer))
        monkeypatch.setattr(steps_module, "inbox_files", lambda _: self.waiting)
        for name in ("require_declarations", "hot_path_selection", "prepared_manifest"):
            monkeypatch.setattr(runs, name, lambda *_: "")
        monkeypatch.setattr(runs, "daily_models", lambda _: "cuts")
        monkeypatch.setattr(steps_module, "day_of_build", lambda _: self.day)
        monkeypatch.setattr(dbt_runner, "parse", lambda _: object())
        monkeypatch.setattr(runs, "is_outdated", lambda _: False)

    def _step(self, name: str, answer: Any) -> Any:
        def step(*_: Any, **options: Any) -> Any:
            if self.failing == name:
                raise AttuneError("it failed")
            self.done.append(name)
            if name == "build":
                self.excluded.append(options["exclude"])
            if name == "ingest":
                answer.batch_ids, self.waiting = self.waiting, []
            return answer

        return step


def stages() -> Stages:
    return Stages(Console(file=io.StringIO()))


@pytest.mark.parametrize("failing", ["build", "sync"])
def test_what_was_loaded_is_built_by_the_next_turn_although_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    steps = Steps(monkeypatch)
    steps.failing = failing
    for _ in range(2):
        with pytest.raises(AttuneError):
            runs.HotPath(workspace).follow(stages())
    steps.failing = ""
    del steps.done[:]
    assert runs.HotPath(workspace).follow(stages()).built_nodes == 3
    assert steps.done == ["ingest", "build", "sync"]
    assert runs.HotPath(workspace).follow(stages()).built_nodes == 0
    assert steps.done == ["ingest", "build", "sync"]


def test_the_first_events_of_a_day_are_served_before_the_population_is_fitted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    steps = Steps(monkeypatch)
    steps.day = LOADED_AT.date() - timedelta(days=1)
    report = runs.HotPath(workspace).follow(stages())
    assert steps.done == ["ingest", "build", "sync", "build", "sync"]
    assert steps.excluded == ["cuts", None]
    assert (report.built_nodes, report.moved) == (6, 2)
    assert list(report.seconds)[-4:] == ["build", "sync", "refit", "sync of the refit"]


@pytest.mark.parametrize("day", [None, LOADED_AT.date()], ids=["never built", "the same day"])
def test_one_build_is_enough_on_any_other_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: date | None
) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    steps = Steps(monkeypatch)
    steps.day = day
    runs.HotPath(workspace).follow(stages())
    assert steps.excluded == [None]


def test_a_turn_that_failed_before_the_refit_is_made_good_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    steps = Steps(monkeypatch)
    steps.day, steps.failing = LOADED_AT.date() - timedelta(days=1), "sync"
    with pytest.raises(AttuneError):
        runs.HotPath(workspace).follow(stages())
    steps.failing, steps.excluded = "", []
    # the warehouse is of today since, whatever of it was not fitted
    steps.day = LOADED_AT.date()
    runs.HotPath(workspace).follow(stages())
    assert steps.excluded == [None]


def test_the_command_goes_on_after_a_turn_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTUNE_HOME", str(tmp_path))
    steps = Steps(monkeypatch)
    steps.failing = "build"

    def sleep(_: float) -> None:
        if not steps.failing:
            raise KeyboardInterrupt
        steps.failing = ""

    monkeypatch.setattr("orchestration.cli.time.sleep", sleep)
    cli.follow(every=1.0, once=False, as_json=True)
    assert steps.done == ["ingest", "ingest", "build", "sync"]
    said = capsys.readouterr()
    assert "it failed" in said.err
    assert '"built_nodes":3' in said.out
