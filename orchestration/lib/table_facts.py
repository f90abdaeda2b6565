"""What a build left in the warehouse: rows of each table, and what each column is made of.

Read in one go after dbt has ended. Asking dbt's adapter during the stream would leave the warehouse
file locked by this process.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.lib.lineage import column_lineage
from orchestration.lib.report import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import duckdb


class TableFacts:
    """Rows and column lineage of the models of one build.

    Args:
        warehouse: The warehouse file; dbt must have ended.
        compiled: The folder of compiled models, `compiled/<project>` below dbt's target.
        manifest: dbt's manifest.
        key_of: Gives the asset of a node.
    """

    def __init__(
        self,
        warehouse: Path,
        compiled: Path,
        manifest: Mapping[str, Any],
        key_of: Callable[[Mapping[str, Any]], dg.AssetKey],
    ) -> None:
        self._compiled = compiled
        self._nodes = manifest["nodes"]
        self._keys = {
            relation_of(node): key_of(node)
            for node in (*manifest["nodes"].values(), *manifest["sources"].values())
            if node["resource_type"] in ("model", "seed", "source")
        }
        with open_warehouse(warehouse) as connection:
            self._columns = _columns(connection)
            self._rows = _rows(connection, self._nodes)

    def metadata(self, unique_id: str) -> dict[str, Any]:
        """Return what Dagster shows of a node's table: row count (not of views) and lineage."""
        node = self._nodes[unique_id]
        found: dict[str, Any] = {}
        if unique_id in self._rows:
            found["dagster/row_count"] = self._rows[unique_id]
        path = self._compiled / node["original_file_path"]
        if node["resource_type"] == "model" and path.is_file():
            found["dagster/column_lineage"] = self._lineage(path.read_text())
        return found

    def _lineage(self, sql: str) -> dg.TableColumnLineage:
        return dg.TableColumnLineage(
            deps_by_column={
                column: [
                    dg.TableColumnDep(
                        asset_key=self._keys[source.relation], column_name=source.column
                    )
                    for source in sorted(sources)
                    if source.relation in self._keys
                ]
                for column, sources in column_lineage(sql, self._columns).items()
            }
        )


def relation_of(node: Mapping[str, Any]) -> str:
    """Return a node's relation as schema.table, lower case."""
    name = node["identifier"] if node["resource_type"] == "source" else node["alias"]
    return f"{node['schema']}.{name}".lower()


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for schema, table, column, data_type in connection.execute(
        "select table_schema, table_name, column_name, data_type from information_schema.columns"
    ).fetchall():
        found[f"{schema}.{table}".lower()][column.lower()] = data_type
    return dict(found)


def _rows(
    connection: duckdb.DuckDBPyConnection, nodes: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    """Count what is stored; a view's rows cost its whole query."""
    tables = {
        f"{schema}.{table}".lower()
        for schema, table in connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_type = 'BASE TABLE'"
        ).fetchall()
    }
    counted = {}
    for unique_id, node in nodes.items():
        if node["resource_type"] in ("model", "seed") and relation_of(node) in tables:
            row = connection.execute(f"select count(*) from {node['relation_name']}").fetchone()
            counted[unique_id] = 0 if row is None else int(row[0])
    return counted
