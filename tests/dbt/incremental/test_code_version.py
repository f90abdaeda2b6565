"""What a model's version knows of code: its own and that of every model before it."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.dbt.experiments.model_sql import render

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def test_variables_that_code_names_count_and_when_the_build_takes_place_does_not() -> None:
    codes = {"first": "{{ var('late_after_days') }}", "last": '{{ var("as_of") }}'}
    assert version({"late_after_days": 8}, **codes) != version(**codes)
    assert version({"as_of": "2026-03-09"}, **codes) == version(**codes)
    assert version({"session_timeout_minutes": 5}, **codes) == version(**codes)
