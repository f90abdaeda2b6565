"""What a model's version knows of code: its own, that of every model before it, and their variables."""

from __future__ import annotations

import hashlib
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.dbt.experiments.model_sql import PROJECT_DIR, model_sql, render

if TYPE_CHECKING:
    from collections.abc import Mapping

# the instant of the build, which the versions of keys know
READ_BY_MACROS = {"as_of"}


def version(variables: Mapping[str, object] | None = None, /, **changed: str) -> str:
    """The version of `last` in a small graph, with the code of some models changed."""
    codes = {"first": "1", "left": "2", "right": "3", "last": "4", "beside": "5"} | changed
    before = {
        "left": ["source", "first"],
        "right": ["first", "source"],
        "last": ["left", "right", "seed"],
        "beside": ["first"],
    }
    nodes = {
        name: {"raw_code": code, "depends_on": {"nodes": before.get(name, [])}}
        for name, code in codes.items()
    }
    # a seed depends on macros alone, and its code is empty
    nodes["seed"] = {"raw_code": "", "depends_on": {"macros": []}}
    context = {
        "execute": True,
        "graph": SimpleNamespace(nodes=nodes, sources={"source": {}}),
        "model": SimpleNamespace(
            raw_code=codes["last"], depends_on=SimpleNamespace(nodes=before["last"])
        ),
        "local_md5": lambda code: hashlib.md5(code.encode()).hexdigest(),  # noqa: S324 - a version
    }
    return render("{{ code_version() }}", variables, context).strip()


def test_code_of_every_model_before_counts() -> None:
    versions = {version()} | {
        version(**{name: "new"}) for name in ("first", "left", "right", "last")
    }
    assert len(versions) == 5


def test_code_beside_does_not_count() -> None:
    assert version(beside="new") == version()


@pytest.mark.parametrize("model", ["first", "left", "last"])
@pytest.mark.parametrize(
    "code",
    ["{{ var('limit') }}", '{%- set days = var( "limit" ) * 24 %}', "{{ half(var('limit')) }}"],
)
def test_a_variable_that_a_model_or_one_before_reads_counts(model: str, code: str) -> None:
    reading = {model: code}
    few, many = (version({"limit": limit}, **reading) for limit in (25, 26))
    assert few != many
    assert few == version({"limit": 25, "other": 1}, **reading)


@pytest.mark.parametrize("code", ["{{ var('limit') }}", "{{ env_var('other') }}", "other"])
def test_a_variable_that_only_others_read_does_not_count(code: str) -> None:
    one, two = (
        version({"limit": 25, "other": other}, last=code, beside="{{ var('other') }}")
        for other in (1, 2)
    )
    assert one == two


def test_macros_are_given_what_they_need_of_variables() -> None:
    # a version cannot see what code of a macro names
    read = {
        name
        for path in (PROJECT_DIR / "macros").rglob("*.sql")
        for name in re.findall(r"\bvar\(\s*['\"](\w+)", path.read_text(encoding="utf-8"))
    }
    assert read == READ_BY_MACROS


def test_the_least_units_of_an_arm_are_read_where_models_name_them() -> None:
    for name in ("int_experiment_tests", "rpt_experiment_results_daily"):
        few, many = (model_sql(name, {"sequential_units_minimum": units}) for units in (25, 26))
        assert few != many
        (path,) = (PROJECT_DIR / "models").rglob(f"{name}.sql")
        code = path.read_text(encoding="utf-8")
        assert version({"sequential_units_minimum": 25}, last=code) != version(
            {"sequential_units_minimum": 26}, last=code
        )
