"""dbt's manifest: what the project consists of, without naming a model in Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestration.lib import dbt_runner

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orchestration.lib.home import Workspace

SOURCES = ("dbt_project.yml", "profiles.yml", "models", "macros", "seeds", "tests/dbt")


def prepared_manifest(workspace: Workspace) -> dict[str, Any]:
    """Return the manifest, parsed anew where it is missing or older than what it describes.

    Raises:
        BuildError: the project cannot be parsed.
    """
    if is_outdated(workspace):
        dbt_runner.parse(workspace)
    loaded: dict[str, Any] = json.loads(workspace.manifest.read_bytes())
    return loaded


def is_outdated(workspace: Workspace) -> bool:
    """Whether any file that dbt reads is newer than the manifest.

    Folders count too: a deleted file changes only its folder.
    """
    if not workspace.manifest.is_file():
        return True
    made_at = workspace.manifest.stat().st_mtime_ns
    roots = [workspace.project_dir / name for name in SOURCES] + [workspace.declarations]
    return any(
        path.stat().st_mtime_ns > made_at
        for root in roots
        if root.exists()
        for path in (root, *root.rglob("*"))
    )


def with_attached_tests(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with each test that reads several tables attached to one of them.

    dagster-dbt makes such a test an observation unless its meta names a table; then nobody would
    see on any table that its claim failed. The table is the one furthest down the lineage, whose
    build the test has to wait for anyway.
    """
    depths: dict[str, int] = {}

    def depth(unique_id: str) -> int:
        if unique_id not in depths:
            parents = manifest["parent_map"].get(unique_id, [])
            depths[unique_id] = 1 + max((depth(parent) for parent in parents), default=0)
        return depths[unique_id]

    nodes = dict(manifest["nodes"])
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test" or node.get("attached_node"):
            continue
        tables = [each for each in node["depends_on"]["nodes"] if each in manifest["nodes"]]
        if tables:
            lowest = max(tables, key=lambda each: (depth(each), each))
            meta = {**node["config"].get("meta", {})}
            meta["dagster"] = {"ref": {"name": manifest["nodes"][lowest]["name"]}}
            nodes[unique_id] = {**node, "config": {**node["config"], "meta": meta}}
    return {**manifest, "nodes": nodes}


def hot_mart_ids(manifest: Mapping[str, Any]) -> list[str]:
    """Return the models that are served: those with `config.meta.serving`."""
    return [
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and "serving" in node["config"].get("meta", {})
    ]


def hot_path_selection(manifest: Mapping[str, Any]) -> str:
    """Return dbt's selection of the marts that follow the inbox: what they are made of, their tests.

    To be used with `--indirect-selection empty`: the tests of what lies before them are run by the
    next whole build.
    """
    marts = {
        unique_id
        for unique_id in hot_mart_ids(manifest)
        if manifest["nodes"][unique_id]["config"]["meta"]["serving"].get("hot_path")
    }
    upstream = sorted(f"+{manifest['nodes'][mart]['name']}" for mart in marts)
    return " ".join([*upstream, *tests_of(manifest, marts)])


def daily_models(manifest: Mapping[str, Any]) -> str:
    """Return dbt's selection of the models that move once a day, with much after them.

    They have `config.meta.moves` of daily.
    """
    return " ".join(
        sorted(
            node["name"]
            for node in manifest["nodes"].values()
            if node["resource_type"] == "model"
            and node["config"].get("meta", {}).get("moves") == "daily"
        )
    )


def tests_of(manifest: Mapping[str, Any], models: Collection[str]) -> list[str]:
    """Return the names of the tests that read these models and nothing else."""
    return [
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and set(node["depends_on"]["nodes"]) <= set(models)
    ]


def model_ids_of_schemas(manifest: Mapping[str, Any], schemas: tuple[str, ...]) -> list[str]:
    """Return the models that lie in these schemas."""
    return [
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] in schemas
    ]


def group_of(resource: Mapping[str, Any]) -> str:
    """Return the folder of a model, as a group name: `marts_core`, `staging_telemetry`."""
    kind = resource["resource_type"]
    if kind == "seed":
        return "declarations"
    if kind == "source":
        return str(resource["source_name"])
    return "_".join(resource["fqn"][1:-1]) or kind
