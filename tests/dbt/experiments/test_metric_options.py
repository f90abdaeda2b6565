"""Metric options: the macro stops a build, the declarations' check stops it sooner, by the same rule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import yaml

from orchestration.lib.declarations import METRIC_KINDS, check_declarations
from tests.dbt.experiments.model_sql import PROJECT_DIR, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WRONG = [
    ({"kind": "mean", "cap_quantile": 99}, "cap_quantile is 99; use a share between 0 and 1"),
    ({"kind": "mean", "cap_quantile": True}, "cap_quantile is True; use a share between"),
    ({"kind": "proportion", "cap_quantile": 0.99}, "cap_quantile is of no use to kind proportion"),
    ({"kind": "mean", "cap_quantil": 0.99}, "cap_quantil is unknown; there are kind, better"),
    ({"kind": "mean", "window_days": 0}, "window_days is 0; use a number of days above 0"),
    ({"kind": "mean", "covariate_days": -7}, "covariate_days is -7; use a number of days above"),
    ({"kind": "mean", "delay_days": -1}, "delay_days is -1; use a number of days, 0 or more"),
    ({"kind": "mean", "better": "more"}, "use up or down"),
    ({"kind": "retention"}, "retention needs config.meta.experiment.window_days"),
    ({"kind": "quantile", "quantile": 90}, "quantile is 90; use a share between 0 and 1"),
    ({"kind": "quantile", "quantile": 0.9, "covariate_days": 7}, "of no use to kind quantile"),
]
RIGHT: list[dict[str, Any]] = [
    {"kind": "ratio", "better": "down", "cap_quantile": 0.995, "covariate_days": 28},
    {"kind": "retention", "better": "up", "delay_days": 0, "window_days": 0.5},
    {"kind": "quantile", "quantile": 0.5, "window_days": 7},
    {"kind": "funnel", "steps": ["a", "b"], "window_days": 7},
]


class CompilerError(Exception):
    """What dbt raises."""


def check(options: Mapping[str, Any]) -> str | None:
    """Say what the macro says of the options of a metric `m`."""

    def refuse(message: str) -> NoReturn:
        raise CompilerError(message)

    try:
        render(
            "{% do check_metric_options('m', options, kinds) %}",
            context={
                "options": options,
                "kinds": METRIC_KINDS,
                "exceptions": SimpleNamespace(raise_compiler_error=refuse),
            },
        )
    except CompilerError as error:
        return str(error)
    return None


def check_file(folder: Path, options: Any) -> list[str]:
    """Say what the declarations' check says of a metric that is declared so."""
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    declared = {"name": "m", "config": {"meta": {"experiment": options}}}
    (folder / "metrics" / "m.yml").write_text(yaml.safe_dump({"metrics": [declared]}))
    problems = [str(problem) for problem in check_declarations(folder, PROJECT_DIR)]
    return [problem for problem in problems if problem.startswith("metrics/m.yml: metric 'm': ")]


@pytest.mark.parametrize(("options", "problem"), WRONG)
def test_an_option_that_would_do_nothing_stops_the_build(
    options: Mapping[str, Any], problem: str, tmp_path: Path
) -> None:
    found = check(options)
    assert found is not None
    assert found.startswith("Metric 'm': ")
    assert problem in found
    (sooner,) = check_file(tmp_path, options)
    assert problem in sooner


@pytest.mark.parametrize("options", RIGHT)
def test_options_that_do_something_are_taken(options: Mapping[str, Any], tmp_path: Path) -> None:
    assert check(options) is None
    assert check_file(tmp_path, options) == []


def test_a_kind_that_is_unknown_is_named_before_a_build(tmp_path: Path) -> None:
    assert "config.meta.experiment.kind is 'medain'" in check_file(tmp_path, {"kind": "medain"})[0]
    assert "use options such as" in check_file(tmp_path, "mean")[0]
