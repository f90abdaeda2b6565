"""What the hot path does after a turn that failed."""

from __future__ import annotations

import io
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


class Steps:
    """Steps that are noted, and fail where they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = ["batch"]
        self.failing = ""
        self.done: list[str] = []
        built = SimpleNamespace(statuses={"success": 3}, model_seconds={})
        for module, name, answer in (
            (steps_module, "ingest", SimpleNamespace(refused=[])),
            (dbt_runner, "build", built),
            (steps_module, "sync", SimpleNamespace(moved=1)),
        ):
            monkeypatch.setattr(module, name, self._step(name, answer))
        monkeypatch.setattr(steps_module, "inbox_files", lambda _: self.waiting)
        for name in ("require_declarations", "hot_path_selection", "prepared_manifest"):
            monkeypatch.setattr(runs, name, lambda *_: "")
        monkeypatch.setattr(dbt_runner, "parse", lambda _: object())
        monkeypatch.setattr(runs, "is_outdated", lambda _: False)

    def _step(self, name: str, answer: Any) -> Any:
        def step(*_: Any, **__: Any) -> Any:
            if self.failing == name:
                raise AttuneError("it failed")
            self.done.append(name)
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
