"""No model compares each row of one large table with each row of another.

An engine does so without a word where a join's condition holds more than comparisons, an `or` or a
check of one side alone, although it names equal keys as well. A hundred users do not notice; ten
million records wait for an hour.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orchestration.lib import dbt_runner
from orchestration.lib.report import open_warehouse
from simulator import simulate
from tests.workspaces import ManifestCache, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODELS_ONLY = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
ROW_BY_ROW = ("BLOCKWISE_NL_JOIN", "NESTED_LOOP_JOIN", "CROSS_PRODUCT")
# declared rows, arms and cuts: fewer than any table of users
FEW = 100
KEY = re.compile(r"\(\w+ = \w+\)")


def joins(operator: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every join of a plan that looks at pairs of rows."""
    if operator["name"] in ROW_BY_ROW:
        yield operator
    for child in operator["children"]:
        yield from joins(child)


def rows(operator: dict[str, Any]) -> int:
    """How many rows the engine expects; 0 where it does not say."""
    said = re.match(r"\d+", str(operator["extra_info"].get("Estimated Cardinality", "")).strip("~"))
    return int(said[0]) if said else 0


def is_slow(join: dict[str, Any]) -> bool:
    """Whether the join has keys that it does not use, or neither side has few rows."""
    has_keys = KEY.search(str(join["extra_info"].get("Condition", ""))) is not None
    return has_keys or min(rows(child) for child in join["children"]) > FEW


def test_large_tables_are_joined_by_keys(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    world = make_workspace(tmp_path, project_dir, manifests)
    simulate(world.workspace.inbox, truth_dir=tmp_path / "truth", users=250, days=14, seed=3)
    world.ingest()
    manifest = manifests.manifest_for(world.workspace)
    assert dbt_runner.run_dbt(world.workspace, ["build", *MODELS_ONLY], manifest=manifest).success

    slow: list[tuple[str, Any]] = []
    compiled = sorted((world.workspace.dbt_target / "compiled").rglob("models/**/*.sql"))
    assert len(compiled) > 150
    with open_warehouse(world.workspace.warehouse) as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        for path in compiled:
            (row,) = warehouse.execute(f"explain (format json) {path.read_text()}").fetchall()
            for plan in json.loads(row[1]):
                slow += [(path.stem, join["extra_info"]) for join in joins(plan) if is_slow(join)]
    assert slow == []
