"""The scorecard's models as SQL on tables of the same names, rendered without dbt.

dbt would take half a minute to compile them; what they use of it stands here. Macros that return a
value do so by an exception, as dbt's own do.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import duckdb
import jinja2
import pyarrow as pa
import yaml
from jinja2.runtime import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import CodeType

PROJECT_DIR = Path(__file__).resolve().parents[3]
MACRO = re.compile(r"{%-?\s*macro\s+(\w+)")

Row = dict[str, Any]


class _ReturnedError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def _return(value: Any) -> NoReturn:
    raise _ReturnedError(value)


class Relation:
    """dbt's relation: what it is called."""

    @staticmethod
    def create(*, database: str | None, schema: str, identifier: str) -> str:
        """The name in the only database."""
        del database
        return f"{schema}.{identifier}"


class _This(str):
    """dbt's `this`: the model's own table."""

    __slots__ = ()

    database = None

    @property
    def identifier(self) -> str:
        """The table without a schema."""
        return str(self)


class _Adapter:
    """dbt's dispatch to the macro of DuckDB, else the default one."""

    @jinja2.pass_context
    def dispatch(self, context: Context, name: str, _namespace: str) -> Any:
        own = context.get(f"duckdb__{name}")
        return own if own is not None else context[f"default__{name}"]


def _environment() -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701 - SQL
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"]
    )


@functools.cache
def _compiled(text: str) -> CodeType:
    return _environment().compile(text)


def _template(environment: jinja2.Environment, text: str) -> jinja2.Template:
    return jinja2.Template.from_code(environment, _compiled(text), environment.make_globals(None))


@functools.cache
def _macros() -> dict[str, str]:
    texts = [
        path.read_text(encoding="utf-8") for path in sorted((PROJECT_DIR / "macros").rglob("*.sql"))
    ]
    return {name: text for text in texts for name in MACRO.findall(text)}


def _caller(environment: jinja2.Environment, name: str, text: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        module = _template(environment, text).module
        try:
            return getattr(module, name)(*arguments, **options)
        except _ReturnedError as returned:
            return returned.value

    return call


@functools.cache
def project_variables() -> Mapping[str, Any]:
    """The variables as the project declares them."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    return MappingProxyType(project["vars"])


def render(
    text: str,
    variables: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> str:
    """Render SQL with every macro of the project; `ref` is the table of that name.

    `variables` go before those that the project declares.
    """
    known = {**project_variables(), **(variables or {})}
    environment = _environment()
    environment.globals |= {
        "return": _return,
        "adapter": _Adapter(),
        "ref": lambda name: name,
        "var": known.__getitem__,
        "modules": SimpleNamespace(re=re),
        "config": lambda **_: "",
        "execute": False,
        **(context or {}),
    }
    for name, macro in _macros().items():
        environment.globals[name] = _caller(environment, name, macro)
    return _template(environment, text).render()


def _model_text(name: str) -> str:
    (path,) = (PROJECT_DIR / "models").rglob(f"{name}.sql")
    return path.read_text(encoding="utf-8")


def model_sql(name: str, variables: Mapping[str, Any] | None = None) -> str:
    """The SQL of a model."""
    return render(_model_text(name), variables)


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


def build_incrementally(
    connection: duckdb.DuckDBPyConnection,
    *names: str,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Build models in this order as dbt does: of an incremental model only touched keys.

    A model whose keys are dates, or parts of them, is built in full: its compiling would ask the
    warehouse.
    """
    connection.execute("create schema if not exists incremental_state")
    for name in names:
        text = _model_text(name)
        given: dict[str, Any] = {}
        render(text, variables, {"config": lambda given=given, **options: given.update(options)})
        overwrite = given.get("meta", {}).get("overwrite")
        if overwrite is None or overwrite["key"] in ("event_date", "user_part"):
            build(connection, name, variables=variables)
            continue
        exists = connection.execute(
            "select count(*) > 0 from information_schema.tables "
            "where table_schema = 'main' and table_name = ?",
            [name],
        ).fetchone() == (True,)
        context = {
            "execute": True,
            "is_incremental": lambda exists=exists: exists,
            "this": _This(name),
            "model": SimpleNamespace(
                raw_code=text,
                depends_on=SimpleNamespace(nodes=[]),
                config=SimpleNamespace(
                    meta=SimpleNamespace(overwrite=SimpleNamespace(**overwrite))
                ),
            ),
            "graph": SimpleNamespace(nodes={}, sources={}),
            "api": SimpleNamespace(Relation=Relation),
            "local_md5": lambda code: hashlib.md5(code.encode()).hexdigest(),  # noqa: S324 - a version
        }
        building = [f"create table {name} as {text}"]
        if exists:
            context["arguments"] = strategy_arguments(connection, name)
            building = [
                f"create temp table {name}__new as {text}",
                "{{ get_incremental_overwrite_touched_sql(arguments) }}",
                f"drop table {name}__new",
            ]
        for statement in (*given["pre_hook"], *building, *given["post_hook"]):
            sql = render(statement, variables, context).strip()
            if sql:
                connection.execute(sql)


def strategy_arguments(connection: duckdb.DuckDBPyConnection, table: str) -> SimpleNamespace:
    """What dbt gives an incremental strategy: the new rows lie in TABLE__new."""
    columns = connection.execute(f"describe {table}").fetchall()
    return SimpleNamespace(
        target_relation=_This(table),
        temp_relation=f"{table}__new",
        dest_columns=[
            SimpleNamespace(quoted=f'"{name}"', dtype=kind) for name, kind, *_ in columns
        ],
    )


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[Row]:
    """The rows of a query as dictionaries."""
    result = connection.execute(sql, list(values))
    columns: Sequence[str] = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
