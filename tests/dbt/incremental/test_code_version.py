"""What a model's version knows of code: its own and that of every model before it."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

from tests.dbt.experiments.model_sql import render


def version(**changed: str) -> str:
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
    return render("{{ code_version() }}", context=context).strip()


def test_code_of_every_model_before_counts() -> None:
    versions = {version()} | {
        version(**{name: "new"}) for name in ("first", "left", "right", "last")
    }
    assert len(versions) == 5


def test_code_beside_does_not_count() -> None:
    assert version(beside="new") == version()
