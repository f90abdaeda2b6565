"""Rendering of the statistics macros without dbt, so that each test runs SQL on literal rows.

dbt would take seconds to start and could give no other text: the macros use nothing of dbt but
`return` and the dispatch by engine, which stand here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
from jinja2.runtime import Context

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MACROS = Path(__file__).resolve().parents[3] / "macros" / "statistics"


class _Adapter:
    """dbt's dispatch: the macro of the engine, else the default one."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    @jinja2.pass_context
    def dispatch(self, context: Context, name: str, _namespace: str) -> object:
        own = context.get(f"{self._engine}__{name}")
        return own if own is not None else context[f"default__{name}"]


class _Exceptions:
    """dbt's way for a macro to refuse its arguments."""

    @staticmethod
    def raise_compiler_error(message: str) -> NoReturn:
        raise ValueError(message)


def _same(value: object) -> object:
    return value


def render(text: str, engine: str = "duckdb") -> str:
    """Render SQL that calls statistics macros.

    Args:
        text: SQL with Jinja calls.
        engine: dispatch prefix, `duckdb` or `spark`.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - SQL
    environment.globals |= {
        "return": _same,
        "adapter": _Adapter(engine),
        "exceptions": _Exceptions(),
    }
    macros = "".join(path.read_text(encoding="utf-8") for path in sorted(MACROS.glob("*.sql")))
    return environment.from_string(macros + text).render().strip()


def literal(value: float | None) -> str:
    """A double literal that both engines read to the last bit."""
    if value is None:
        return "cast(null as double)"
    if not math.isfinite(value):
        return f"cast('{value}' as double)"
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def rows_cte(columns: Sequence[str], rows: Iterable[Sequence[float | None]]) -> str:
    """The CTE `inputs`: a row number `id` and the columns, all doubles."""
    lines = [
        f"({number}, " + ", ".join(literal(value) for value in row) + ")"
        for number, row in enumerate(rows)
    ]
    values = ",\n    ".join(lines)
    names = ", ".join(["id", *columns])
    return f"inputs as (\n    select * from (values\n    {values}\n    ) as literals ({names})\n)"


def query(columns: Sequence[str], rows: Iterable[Sequence[float | None]], call: str) -> str:
    """SQL text, still with Jinja, whose CTE `outputs` comes from a relation macro."""
    return (
        f"with {rows_cte(columns, rows)},\n\n{{{{ {call} }}}}\n\nselect * from outputs order by id"
    )


def scalar_query(columns: Sequence[str], rows: Iterable[Sequence[float | None]], call: str) -> str:
    """SQL text, still with Jinja, that gives an expression macro's value as `output`."""
    return (
        f"with {rows_cte(columns, rows)}\n\n"
        f"select id, {{{{ {call} }}}} as output from inputs order by id"
    )


def worst(actual: Iterable[Any], expected: Iterable[Any]) -> float:
    """Largest relative error; a missing or unexpected value counts as infinite."""
    errors = [0.0]
    for value, truth in zip(actual, expected, strict=True):
        if value is None or not math.isfinite(value):
            errors.append(math.inf)
        elif truth == 0:
            errors.append(abs(value))
        else:
            errors.append(abs(value / truth - 1))
    return max(errors)
