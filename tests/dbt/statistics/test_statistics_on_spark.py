"""The statistics macros give the same numbers on Spark, ANSI mode on, as on DuckDB."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from tests.dbt.statistics.macro_sql import query, render, rows_cte

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

# t or x, degrees of freedom, alpha or probability, and two sizes: both sides of every branch
ROWS: list[list[float | None]] = [
    [0.0, 1.0, 0.05, 0.01, 3.0],
    [0.3, 1.4, 0.5, 0.7, 0.9],
    [1.1, 2.0, 0.999, 1.0, 1.0],
    [2.4, 3.7, 0.01, 17.5, 4e3],
    [-2.5, 1e3, 1e-3, 2e5, 3.5],
    [3.3, 51.0, 0.95, 1e7, 1e7],
    [37.0, 1e12, 1e-300, 0.001, 1e6],
    [60.0, 55.5, 0.05, 2.0, 2.0],
    [120.0, 60.0, 0.05, 2.0, 2.0],
    [400.0, 100.0, 0.1, 30.0, 0.02],
    [None, 3.0, 0.05, 1.0, 2.0],
    [1.0, None, None, None, 2.0],
    [-1.0, 0.0, 0.0, 0.0, 2.0],
    [math.inf, math.nan, 2.0, math.inf, math.nan],
]

# relation macros, and the absolute difference allowed: the beta macros promise no relative error
RELATION_CALLS = [
    ("student_t_tail('inputs', 't', 'v', 'p', name='outputs', log_output='log_p')", 0.0),
    ("student_t_quantile('inputs', 'alpha', 'v', 'critical', name='outputs')", 0.0),
    ("chi_square_tail('inputs', 't', 'v', 'p', name='outputs', log_output='log_p')", 0.0),
    ("incomplete_beta('inputs', 'alpha', 'a', 'b', 'p', name='outputs', upper_output='q')", 1e-14),
    ("beta_quantile('inputs', 'alpha', 'a', 'b', 'x', name='outputs')", 1e-14),
]
EXPRESSIONS = [
    "normal_tail('t')",
    "normal_cdf('t')",
    "normal_quantile('alpha')",
    "log_gamma('a')",
]
COLUMNS = ["t", "v", "alpha", "a", "b"]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """A local session of one core, as the project's Spark target is set."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .appName("statistics")
        .config("spark.sql.ansi.enabled", "true")
        # every CTE with `select *` takes two rounds of analysis; the default of 100 is for 48
        .config("spark.sql.analyzer.maxIterations", "1000")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    yield session
    session.stop()


def differences(spark: SparkSession, text: str, absolute: float) -> list[tuple[object, ...]]:
    """Rows and columns, behind the inputs, where the engines differ; fails where both are empty."""
    with duckdb.connect() as connection:
        result = connection.sql(render(text, "duckdb"))
        names = result.columns
        expected = result.fetchall()
    frame = spark.sql(render(text, "spark"))
    actual = [tuple(row) for row in frame.collect()]
    assert frame.columns == names
    assert len(actual) == len(expected) == len(ROWS)
    found: list[tuple[object, ...]] = []
    first = 1 + len(COLUMNS)
    for place in range(first, len(names)):
        pairs = [(here[place], there[place]) for here, there in zip(expected, actual, strict=True)]
        assert any(one is not None for one, _ in pairs)
        found += [
            (number, names[place], one, two)
            for number, (one, two) in enumerate(pairs)
            if (one is None) != (two is None)
            or (one is not None and not math.isclose(one, two, rel_tol=1e-12, abs_tol=absolute))
        ]
    return found


@pytest.mark.parametrize(("call", "absolute"), RELATION_CALLS)
def test_relation_macros_give_the_same_numbers_on_spark(
    spark: SparkSession, call: str, absolute: float
) -> None:
    assert differences(spark, query(COLUMNS, ROWS, call), absolute) == []


def test_expression_macros_give_the_same_numbers_on_spark(spark: SparkSession) -> None:
    columns = ",\n    ".join(
        f"{{{{ {call} }}}} as output_{number}" for number, call in enumerate(EXPRESSIONS)
    )
    text = f"with {rows_cte(COLUMNS, ROWS)}\n\nselect *,\n    {columns}\nfrom inputs order by id"
    assert differences(spark, text, 0.0) == []


def test_matrices_are_packed_and_swept_to_the_same_numbers_on_spark(spark: SparkSession) -> None:
    matrix = [4.0, 1.0, 0.5, 2.0, 1.0, 3.0, 0.25, -1.0, 0.5, 0.25, 2.0, 0.5, 2.0, -1.0, 0.5, 0.0]
    # out of order: the places say which is which
    cells = [[float(place), value] for place, value in reversed(list(enumerate(matrix)))]
    text = f"""
        with {rows_cte(["place", "value"], cells)},
        packed as (
            select 4 as size, {{{{ packed_list('cast(place as int)', 'value') }}}} as matrix
            from inputs
        )
        select {{{{ swept_matrix('matrix', 'size', '(size - 1)') }}}} as swept from packed
    """
    with duckdb.connect() as connection:
        ((here,),) = connection.sql(render(text, "duckdb")).fetchall()
    ((there,),) = spark.sql(render(text, "spark")).collect()
    assert list(there) == pytest.approx(here, rel=1e-12)
    square = np.array(matrix).reshape(4, 4)
    solution = np.linalg.solve(square[:3, :3], square[:3, 3])
    assert [here[place * 4 + 3] for place in range(3)] == pytest.approx(solution, rel=1e-12)
