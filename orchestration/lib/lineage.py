"""Which columns a column is made of, from a model's SQL.

Every intermediate query's column is resolved once and remembered. Expanding each column's tree
anew, as sqlglot's own lineage does, takes minutes on a query whose steps use each other twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

if TYPE_CHECKING:
    from collections.abc import Mapping


class SourceColumn(NamedTuple):
    """A column of a relation that a model reads; relation is schema.table, lower case."""

    relation: str
    column: str


def column_lineage(
    sql: str, columns: Mapping[str, Mapping[str, str]], dialect: str = "duckdb"
) -> dict[str, set[SourceColumn]]:
    """Return, for each output column of a query, the columns of relations it is made of.

    Args:
        sql: A compiled model.
        columns: Columns and types of the relations it may read: `{"marts.a": {"id": "varchar"}}`.
        dialect: The engine's SQL.

    Returns:
        Nothing where the query cannot be analysed: lineage is information, not a check.
    """
    # only what the query reads: sqlglot normalizes every name of a schema anew for each query
    schema: dict[str, dict[str, dict[str, str]]] = {}
    try:
        parsed = sqlglot.parse_one(sql, dialect=dialect)
        for table in parsed.find_all(exp.Table):
            # one warehouse: its name would only be another level
            table.set("catalog", None)
            schema_name, name = table.db.lower(), table.name.lower()
            if types := columns.get(f"{schema_name}.{name}"):
                schema.setdefault(schema_name, {})[name] = dict(types)
        qualified = qualify(
            parsed,
            schema=dict[str, object](schema),
            dialect=dialect,
            validate_qualify_columns=False,
            identify=False,
        )
        root = build_scope(qualified)
    except SqlglotError:
        return {}
    if root is None:
        return {}
    resolved: dict[tuple[int, str], set[SourceColumn]] = {}
    return {name.lower(): _sources(root, name, resolved) for name in _query(root).named_selects}


def _query(scope: Scope) -> exp.Query:
    expression = scope.expression
    if not isinstance(expression, exp.Query):
        raise TypeError(f"a scope of a query holds a {type(expression).__name__}")
    return expression


def _sources(
    scope: Scope, name: str, resolved: dict[tuple[int, str], set[SourceColumn]]
) -> set[SourceColumn]:
    key = (id(scope), name.lower())
    if key in resolved:
        return resolved[key]
    # a recursive query finds itself empty
    found: set[SourceColumn] = set()
    resolved[key] = found
    if scope.set_operation_scopes:
        names = [each.lower() for each in _query(scope).named_selects]
        position = names.index(name.lower())
        for branch in scope.set_operation_scopes:
            branch_names = _query(branch).named_selects
            if position < len(branch_names):
                found |= _sources(branch, branch_names[position], resolved)
        return found
    for projection in _query(scope).selects:
        if projection.alias_or_name.lower() != name.lower():
            continue
        for column in projection.find_all(exp.Column):
            source = scope.sources.get(column.table)
            if isinstance(source, Scope):
                if column.name.lower() in {n.lower() for n in _query(source).named_selects}:
                    found |= _sources(source, column.name, resolved)
            elif isinstance(source, exp.Table):
                found.add(SourceColumn(f"{source.db}.{source.name}".lower(), column.name.lower()))
    return found
