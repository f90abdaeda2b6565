"""The scorecard's models as SQL on tables of the same names, rendered without dbt.

dbt would take half a minute to compile them; what they use of it stands here. Macros that return a
value do so by an exception, as dbt's own do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import duckdb
import jinja2
import pyarrow as pa
import yaml
from jinja2.runtime import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PROJECT_DIR = Path(__file__).resolve().parents[3]
MACRO = re.compile(r"{%-?\s*macro\s+(\w+)")

Row = dict[str, Any]


class _ReturnedError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def _return(value: Any) -> NoReturn:
    raise _ReturnedError(value)


class _Adapter:
    """dbt's dispatch to the macro of DuckDB, else the default one."""

    @jinja2.pass_context
    def dispatch(self, context: Context, name: str, _namespace: str) -> Any:
        own = context.get(f"duckdb__{name}")
        return own if own is not None else context[f"default__{name}"]


def _caller(environment: jinja2.Environment, name: str, path: Path) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        module = environment.from_string(path.read_text(encoding="utf-8")).module
        try:
            return getattr(module, name)(*arguments, **options)
        except _ReturnedError as returned:
            return returned.value

    return call


def project_variables() -> dict[str, Any]:
    """The variables as the project declares them."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    variables: dict[str, Any] = project["vars"]
    return variables


def render(text: str, variables: Mapping[str, Any] | None = None) -> str:
    """Render SQL with every macro of the project; `ref` is the table of that name."""
    environment = jinja2.Environment(  # noqa: S701 - SQL
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"]
    )
    environment.globals |= {
        "return": _return,
        "adapter": _Adapter(),
        "ref": lambda name: name,
        "var": lambda name: (variables or {})[name],
        "config": lambda **_: "",
        "execute": False,
    }
    for path in sorted((PROJECT_DIR / "macros").rglob("*.sql")):
        for name in MACRO.findall(path.read_text(encoding="utf-8")):
            environment.globals[name] = _caller(environment, name, path)
    return environment.from_string(text).render()


def model_sql(name: str, variables: Mapping[str, Any] | None = None) -> str:
    """The SQL of a model."""
    (path,) = (PROJECT_DIR / "models").rglob(f"{name}.sql")
    return render(path.read_text(encoding="utf-8"), variables)


def fill(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """Make a table: column -> type; what a row does not name is null."""
    names = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"create or replace table {table} ({names})")
    given = list(rows)
    unknown = {name for row in given for name in row} - set(columns)
    assert not unknown, f"{table} has no {unknown}"
    if given:
        arrays = {name: [row.get(name) for row in given] for name in columns}
        connection.register("given_rows", pa.table(arrays))
        connection.execute(f"insert into {table} by name select * from given_rows")
        connection.unregister("given_rows")


def build(
    connection: duckdb.DuckDBPyConnection,
    *names: str,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Build models in this order as tables of the connection."""
    for name in names:
        connection.execute(f"create or replace table {name} as {model_sql(name, variables)}")


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[Row]:
    """The rows of a query as dictionaries."""
    result = connection.execute(sql, list(values))
    columns: Sequence[str] = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
