"""Everything of the dbt project says what it is: the catalog is the documentation users get."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.lib.report import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.workspaces import WorkspaceUnderTest

PROJECT = "attune"
ENGINES = ("default", "duckdb", "spark")


@pytest.fixture
def manifest(workspace: Callable[..., WorkspaceUnderTest]) -> Any:
    """The manifest of a parse of its own, in a temporary target folder."""
    under_test = workspace()
    return under_test.manifests.manifest_for(under_test.workspace)


def undescribed_tables(manifest: Any) -> Iterator[str]:
    """Name the models, seeds, sources and columns without description, with the file to correct."""
    for node in [*manifest.nodes.values(), *manifest.sources.values()]:
        if node.resource_type.value not in ("model", "seed", "source"):
            continue
        place = node.patch_path or node.original_file_path
        for name, described in [(node.name, node), *node.columns.items()]:
            if not described.description.strip():
                yield f"{name} of {node.name} ({place})"


def undescribed_macros(manifest: Any) -> Iterator[str]:
    """Name the macros and arguments without description or type.

    What a dispatching macro says holds for its implementations.
    """
    macros = {m.name: m for m in manifest.macros.values() if m.package_name == PROJECT}
    for macro in macros.values():
        engine, _, dispatching = macro.name.partition("__")
        if engine in ENGINES and dispatching in macros:
            continue
        if not macro.description.strip():
            yield f"macro {macro.name} ({macro.original_file_path})"
        for argument in macro.arguments:
            if not argument.description.strip() or not argument.type:
                yield f"argument {argument.name} of macro {macro.name} ({macro.patch_path})"


def test_everything_of_the_project_has_a_description(manifest: Any) -> None:
    assert list(undescribed_tables(manifest)) == []
    assert list(undescribed_macros(manifest)) == []
    assert [test.name for test in manifest.unit_tests.values() if not test.description] == []


def test_models_end_their_description_with_the_grain(manifest: Any) -> None:
    models = [node for node in manifest.nodes.values() if node.resource_type.value == "model"]
    assert len(models) > 50
    last_sentences = {
        node.name: re.split(r"(?<=\.)\s+", node.description.strip())[-1] for node in models
    }
    assert {n: s for n, s in last_sentences.items() if not s.startswith("One row")} == {}


def test_marts_are_contracted_and_state_their_purpose(manifest: Any) -> None:
    marts = [
        node
        for node in manifest.nodes.values()
        if node.resource_type.value == "model" and node.path.startswith("marts/")
    ]
    assert len(marts) > 20
    for mart in marts:
        assert mart.config.contract.enforced, mart.name
        assert mart.config.access == "public", mart.name
        assert mart.config.group, mart.name
        assert mart.config.meta.get("purpose") in (
            "operations",
            "measurement",
            "personalization",
        ), mart.name


def test_every_column_of_every_table_is_described(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    under_test = workspace()
    manifest = under_test.manifests.manifest_for(under_test.workspace)
    under_test.build()
    described = {
        (node.schema, node.name): set(node.columns)
        for node in manifest.nodes.values()
        if node.resource_type.value in ("model", "seed")
    }
    described |= {
        (source.schema, source.name): set(source.columns) for source in manifest.sources.values()
    }
    with open_warehouse(under_test.workspace.warehouse) as connection:
        rows = connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal"
        ).fetchall()
    assert rows
    missing = [
        f"{schema}.{table}.{column}"
        for schema, table, column in rows
        # what incremental models hold is their own business
        if schema != "incremental_state" and column not in described.get((schema, table), set())
    ]
    assert missing == []
