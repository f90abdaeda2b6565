"""The statistics macros on literal rows, against reference vectors and scipy.

Where scipy itself loses digits (large degrees of freedom, far tails) a test inverts instead, or
checks an identity.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from scipy import optimize, special, stats

from tests.dbt.statistics.macro_sql import query, render, scalar_query, worst

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Rows = Sequence[Sequence[float | None]]

TAIL = "student_t_tail('inputs', 't', 'v', output='p', name='outputs', log_output='log_p')"
QUANTILE = "student_t_quantile('inputs', 'p', 'v', output='t', name='outputs')"
CHI_SQUARE = "chi_square_tail('inputs', 'x', 'v', output='p', name='outputs', log_output='log_p')"
BETA = "incomplete_beta('inputs', 'x', 'a', 'b', output='p', name='outputs', upper_output='q')"
BETA_QUANTILE = "beta_quantile('inputs', 'p', 'a', 'b', output='x', name='outputs')"

# the minus stands outside the call
UPPER_QUANTILE = "'-(' ~ normal_quantile('p') ~ ')'"

# reference function -> macro call, its arguments in order, and whether it is an expression
VECTOR_CALLS = {
    "normal sf": ("normal_tail('z')", ["z"], True),
    "normal isf (upper tail p)": (UPPER_QUANTILE, ["p"], True),
    "two-sided Student t p": (TAIL, ["t", "v"], False),
    "chi2 sf": (CHI_SQUARE, ["x", "v"], False),
}


def run(columns: Sequence[str], rows: Rows, call: str) -> dict[str, list[float | None]]:
    """Run a relation macro on rows; columns by name."""
    with duckdb.connect() as connection:
        result = connection.sql(render(query(columns, rows, call)))
        names = result.columns
        values = result.fetchall()
    return {name: [row[place] for row in values] for place, name in enumerate(names)}


def run_scalar(column: str, values: Sequence[float | None], call: str) -> list[float | None]:
    """Run an expression macro on the values of one column."""
    with duckdb.connect() as connection:
        text = render(scalar_query([column], [[value] for value in values], call))
        return [row[1] for row in connection.sql(text).fetchall()]


def test_every_special_vector_is_met_to_1e_11(shared_dir: Path) -> None:
    path = shared_dir / "reference" / "experiment_vectors.json"
    vectors = [
        vector
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
        if vector["family"] == "special"
    ]
    assert {vector["settings"]["fn"] for vector in vectors} == set(VECTOR_CALLS)
    errors = {}
    for function, (call, columns, is_expression) in VECTOR_CALLS.items():
        chosen = [vector for vector in vectors if vector["settings"]["fn"] == function]
        arguments = [[float(value) for value in vector["input"].values()] for vector in chosen]
        if is_expression:
            values = run_scalar(columns[0], [row[0] for row in arguments], call)
        else:
            values = run(columns, arguments, call)["p"]
        for vector, value in zip(chosen, values, strict=True):
            errors[vector["id"]] = worst([value], [vector["expected"]["value"]])
    assert {name: error for name, error in errors.items() if not error <= 1e-11} == {}


def test_normal_tail_and_cdf_keep_every_digit_to_both_ends() -> None:
    z = [float(value) for value in np.linspace(-37.5, 37.5, 601)]
    truth = special.ndtr(-np.array(z))
    assert worst(run_scalar("z", z, "normal_tail('z')"), truth) < 1e-12
    assert worst(run_scalar("z", z, "normal_cdf('z')"), truth[::-1]) < 1e-12
    assert run_scalar("z", [None, math.nan, math.inf, 1e300], "normal_tail('z')") == [
        None,
        None,
        None,
        0.0,
    ]


def test_normal_quantile_agrees_with_scipy_and_refuses_what_is_no_probability() -> None:
    p = [*(10.0**-e for e in range(1, 301, 7)), *(k / 97 for k in range(1, 97)), 1 - 1e-12]
    assert worst(run_scalar("p", p, "normal_quantile('p')"), special.ndtri(np.array(p))) < 1e-13
    assert run_scalar("p", [None, 0.0, 1.0, -1.0, 2.0], "normal_quantile('p')") == [None] * 5


def test_log_gamma_agrees_with_scipy() -> None:
    x = [float(value) for value in np.exp(np.linspace(-20, 25, 200))]
    truth = special.gammaln(np.array(x))
    actual = np.array(run_scalar("x", x, "log_gamma('x')"), dtype=float)
    assert float(np.max(np.abs(actual - truth) / np.maximum(1, np.abs(truth)))) < 1e-14
    assert run_scalar("x", [0.0, -1.5, math.inf, None], "log_gamma('x')") == [None] * 4


@pytest.mark.parametrize("degrees_of_freedom", [1.0, 1.3, 2.0, 3.7, 10.0, 30.5, 200.0, 5000.0])
def test_student_t_tail_agrees_with_scipy(degrees_of_freedom: float) -> None:
    t = [float(value) for value in np.exp(np.linspace(math.log(1e-3), math.log(36), 150))]
    actual = run(["t", "v"], [[value, degrees_of_freedom] for value in t], TAIL)
    truth = 2 * stats.t.sf(np.array(t), degrees_of_freedom)
    assert list(actual) == ["id", "t", "v", "p", "log_p"]
    assert worst(actual["p"], truth) < 1e-11
    assert worst(np.exp(np.array(actual["log_p"], dtype=float)), truth) < 1e-11


def test_student_t_tail_at_one_and_two_degrees_of_freedom_is_the_closed_form() -> None:
    t = [0.01, 0.5, 0.79, 1.0, 3.0, 1e4, 1e100]
    cauchy = run(["t", "v"], [[value, 1.0] for value in t], TAIL)
    assert worst(cauchy["p"], [2 / math.pi * math.atan(1 / value) for value in t]) < 1e-13
    second = run(["t", "v"], [[value, 2.0] for value in t[:-1]], TAIL)
    root = [math.sqrt(2 + value * value) for value in t[:-1]]
    closed = [2 / (r * (r + value)) for value, r in zip(t[:-1], root, strict=True)]
    assert worst(second["p"], closed) < 1e-13


def test_student_t_tail_nears_the_normal_tail_without_a_floor() -> None:
    t = [0.0, 0.3, 2.4, 2.45, 2.5, 8.5, 20.0, 37.0]
    actual = run(["t", "v"], [[value, 1e20] for value in t], TAIL)
    assert worst(actual["p"], [2 * special.ndtr(-value) for value in t]) < 1e-12
    # far beyond the smallest double the logarithm goes on
    beyond = run(["t", "v"], [[60.0, 1e20]], TAIL)
    assert beyond["p"] == [0.0]
    assert worst(beyond["log_p"], [math.log(2) + float(special.log_ndtr(-60.0))]) < 1e-14


def test_student_t_tail_of_the_upper_side_keeps_the_sign() -> None:
    call = TAIL.replace(")", ", tail='upper')")
    t = [-3.0, -0.2, 0.0, 0.2, 3.0]
    actual = run(["t", "v"], [[value, 4.5] for value in t], call)
    truth = stats.t.sf(np.array(t), 4.5)
    assert worst(actual["p"], truth) < 1e-12
    assert worst(np.exp(np.array(actual["log_p"], dtype=float)), truth) < 1e-12


def test_student_t_tail_refuses_a_tail_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="use 'two_sided' or 'upper'"):
        render("{{ " + TAIL.replace(")", ", tail='left')") + " }}")


def test_student_t_is_null_where_it_is_not_defined() -> None:
    rows: Rows = [
        [None, 3.0],
        [1.0, None],
        [1.0, 0.0],
        [1.0, -2.0],
        [math.nan, 3.0],
        [math.inf, 3.0],
        [1.0, math.nan],
        [1.0, math.inf],
    ]
    actual = run(["t", "v"], rows, TAIL)
    assert actual["p"] == [None] * len(rows)
    assert actual["log_p"] == [None] * len(rows)
    limits: Rows = [[None, 3.0], [0.05, None], [0.0, 3.0], [1.1, 3.0], [0.05, 0.5], [math.nan, 3.0]]
    assert run(["p", "v"], limits, QUANTILE)["t"] == [None] * len(limits)
    # no degrees of freedom are too many, no alpha too plain
    assert run(["p", "v"], [[1.0, 3.0]], QUANTILE)["t"] == [0.0]


def test_student_t_quantile_inverts_the_tail_over_its_whole_range() -> None:
    generator = np.random.default_rng(20240101)
    v = np.exp(generator.uniform(0, math.log(1e12), 1500))
    v[:700] = 1 + np.exp(generator.uniform(-9, math.log(60), 700))
    log_p = -(generator.uniform(0, 1, 1500) ** 2) * 340
    p = np.exp(log_p)
    p[::3] = generator.uniform(0.001, 0.999, 500)
    rows = [[float(a), float(b)] for a, b in zip(p, v, strict=True)]
    quantiles = run(["p", "v"], rows, QUANTILE)["t"]
    back = run(["t", "v"], [[t, row[1]] for t, row in zip(quantiles, rows, strict=True)], TAIL)
    # the error of t is that of the logarithm over the slope of the logarithm in ln(t)
    t = np.array(quantiles, dtype=float)
    miss = np.array(back["log_p"], dtype=float) - np.log(p)
    slope = 2 * np.exp(stats.t.logpdf(t, v) - np.array(back["log_p"], dtype=float)) * t
    assert float(np.max(np.abs(miss / slope))) < 1e-12


def test_student_t_quantile_agrees_with_scipy() -> None:
    rows = [[p, v] for p in (1e-6, 0.01, 0.05, 0.1, 0.5) for v in (1, 1.5, 2.05, 3, 12.3, 58, 1e3)]
    truth = [stats.t.isf(p / 2, v) for p, v in rows]
    assert worst(run(["p", "v"], rows, QUANTILE)["t"], truth) < 1e-11


def test_chi_square_tail_agrees_with_scipy() -> None:
    rows = [
        [float(v * factor), v]
        for v in (1, 1.01, 2, 3, 7.3, 20, 49.9, 50, 51.3, 120, 777, 4000)
        for factor in (1e-6, 0.3, 0.7, 0.97, 1, 1.03, 1.5, 2.1, 4, 9)
        if stats.chi2.sf(v * factor, v) > 1e-290
    ]
    actual = run(["x", "v"], rows, CHI_SQUARE)
    truth = [stats.chi2.sf(x, v) for x, v in rows]
    assert list(actual) == ["id", "x", "v", "p", "log_p"]
    assert worst(actual["p"], truth) < 1e-11
    assert worst(np.exp(np.array(actual["log_p"], dtype=float)), truth) < 1e-11


def test_chi_square_tail_of_one_and_two_degrees_of_freedom_is_the_closed_form() -> None:
    x = [1e-9, 0.1, 2.9, 5.9, 6.1, 50.0, 1370.0]
    two = run(["x", "v"], [[value, 2.0] for value in x], CHI_SQUARE)
    assert worst(two["p"], [math.exp(-value / 2) for value in x]) < 1e-12
    one = run(["x", "v"], [[value, 1.0] for value in x], CHI_SQUARE)
    assert worst(one["p"], [2 * special.ndtr(-math.sqrt(value)) for value in x]) < 1e-12
    # far beyond the smallest double the logarithm goes on
    beyond = run(["x", "v"], [[4000.0, 2.0]], CHI_SQUARE)
    assert (beyond["p"], beyond["log_p"]) == ([0.0], [-2000.0])


def test_chi_square_tail_is_null_where_it_is_not_defined() -> None:
    rows: Rows = [
        [None, 3.0],
        [1.0, None],
        [1.0, 0.0],
        [-1.0, 3.0],
        [math.nan, 3.0],
        [math.inf, 3.0],
    ]
    assert run(["x", "v"], rows, CHI_SQUARE)["p"] == [None] * len(rows)
    assert run(["x", "v"], [[0.0, 3.0], [0.0, 80.0]], CHI_SQUARE)["p"] == [1.0, 1.0]


def test_incomplete_beta_agrees_with_scipy() -> None:
    sizes = [0.001, 0.03, 0.7, 1.0, 4.5, 60.0, 3e3, 1e5, 1e7]
    spread = (-2.5, -1.0, 0.0, 1.0, 2.5)
    rows = []
    for a in sizes:
        for b in sizes:
            for z in spread:
                odds = math.log(a / b) + z * math.sqrt(1 / a + 1 / b)
                if abs(odds) < 30:
                    rows.append([1 / (1 + math.exp(-odds)), a, b])
    actual = run(["x", "a", "b"], rows, BETA)
    lower = [special.betainc(a, b, x) for x, a, b in rows]
    assert list(actual) == ["id", "x", "a", "b", "p", "q"]
    assert np.max(np.abs(np.array(actual["p"], dtype=float) - lower)) < 1e-9
    total = np.array(actual["p"], dtype=float) + np.array(actual["q"], dtype=float)
    assert np.max(np.abs(total - 1)) < 1e-12


def test_incomplete_beta_at_the_ends_and_outside() -> None:
    rows: Rows = [
        [0.0, 2.0, 3.0],
        [1.0, 2.0, 3.0],
        [None, 2.0, 3.0],
        [1.5, 2.0, 3.0],
        [0.5, 0.0, 3.0],
    ]
    actual = run(["x", "a", "b"], rows, BETA)
    assert actual["p"] == [0.0, 1.0, None, None, None]
    assert actual["q"] == [1.0, 0.0, None, None, None]


@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.95, 0.999])
def test_beta_quantile_inverts_the_incomplete_beta(probability: float) -> None:
    sizes = [0.02, 0.4, 0.99, 1.0, 2.0, 17.5, 400.0, 1e5, 1e7]
    rows = [[probability, a, b] for a in sizes for b in sizes]
    quantiles = np.array(run(["p", "a", "b"], rows, BETA_QUANTILE)["x"], dtype=float)
    a, b = np.array(rows)[:, 1], np.array(rows)[:, 2]
    # x within 1e-9: the probability must be bracketed 1e-9 to both sides
    assert np.all(special.betainc(a, b, np.clip(quantiles - 1e-9, 0, 1)) <= probability + 1e-9)
    assert np.all(special.betainc(a, b, np.clip(quantiles + 1e-9, 0, 1)) >= probability - 1e-9)


def test_beta_quantile_agrees_with_closed_forms() -> None:
    p = [0.001, 0.05, 0.3, 0.5, 0.95, 0.999]
    powers = [0.2, 1.0, 3.0, 250.0]
    rows = [[q, a, 1.0] for q in p for a in powers]
    truth = [q ** (1 / a) for q, a, _ in rows]
    actual = run(["p", "a", "b"], rows, BETA_QUANTILE)["x"]
    assert np.max(np.abs(np.array(actual, dtype=float) - truth)) < 1e-9
    bad: Rows = [
        [0.0, 1.0, 1.0],
        [1.0, 1.0, 1.0],
        [0.5, 0.0, 1.0],
        [0.5, 1.0, -1.0],
        [None, 1.0, 1.0],
    ]
    assert run(["p", "a", "b"], bad, BETA_QUANTILE)["x"] == [None] * len(bad)


def test_relation_macros_follow_each_other_and_keep_every_row() -> None:
    text = (
        "with inputs as (select * from (values (1, 2.0, 5.0), (2, null, 5.0), (1, 2.0, 5.0))"
        " as literals (id, t, v)),\n"
        "{{ student_t_tail('inputs', 't', 'v', output='p', name='tested') }},\n"
        "{{ student_t_tail('tested', '-t / 2', 'v + 1', output='half', name='again') }},\n"
        "{{ student_t_quantile('again', '5e-2', 'v', output='critical', name='bounded') }},\n"
        "{{ chi_square_tail('bounded', 't * t', '1', output='chi', name='outputs') }}\n"
        "select * from outputs order by id"
    )
    with duckdb.connect() as connection:
        result = connection.sql(render(text))
        assert result.columns == ["id", "t", "v", "p", "half", "critical", "chi"]
        rows = result.fetchall()
    assert rows[0] == rows[1]
    assert worst(rows[0][3:5], [2 * stats.t.sf(2, 5), 2 * stats.t.sf(1, 6)]) < 1e-12
    assert worst(rows[0][5:], [stats.t.isf(0.025, 5), stats.chi2.sf(4, 1)]) < 1e-12
    assert rows[2][:5] == (2, None, 5, None, None)


@pytest.mark.parametrize(("freedom", "tolerance"), [(20, 5e-4), (50, 1e-4), (9998, 1e-8)])
@pytest.mark.parametrize("tail", [0.05, 0.025, 0.001])
def test_the_noncentrality_gives_the_noncentral_t_its_power(
    tail: float, freedom: float, tolerance: float
) -> None:
    power = 0.8
    found = noncentrality(stats.norm.isf(tail), stats.norm.isf(1 - power), freedom)
    critical = stats.t.isf(tail, freedom)
    exact = optimize.brentq(lambda delta: stats.nct.sf(critical, freedom, delta) - power, 0, 20)
    assert found == pytest.approx(exact, rel=tolerance)


def test_the_power_vectors_are_met(shared_dir: Path) -> None:
    path = shared_dir / "reference" / "experiment_vectors.json"
    vectors = {
        vector["id"]: vector
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
        if vector["family"] == "power"
    }
    detectable = vectors["power_mde_t"]
    given, settings = detectable["input"], detectable["settings"]
    delta = noncentrality(
        stats.norm.isf(settings["alpha"] / 2),
        stats.norm.isf(1 - settings["power"]),
        given["n_total"] - 2,
    )
    effect = delta * math.sqrt(given["var"] * 4 / given["n_total"])
    # the published solver stops 1.2e-6 off the root of scipy's noncentral t
    assert effect == pytest.approx(detectable["expected"]["mde_abs"], rel=2e-6)
    # the plans' own unit test asks for the units of the other two
    assert set(vectors) == {"power_mde_t", "power_n_t", "sample_size_binomial_alpha_power"}


def noncentrality(z_alpha: float, z_power: float, freedom: float) -> float:
    """What the macro gives for one row."""
    columns = {"z_alpha": z_alpha, "z_power": z_power, "freedom": freedom}
    row = ", ".join(f"{float(value)!r}::double as {name}" for name, value in columns.items())
    text = "{{ t_noncentrality('z_alpha', 'z_power', 'freedom') }}"
    with duckdb.connect() as connection:
        found = connection.sql(render(f"select {text} from (select {row})")).fetchall()[0][0]
    return float(found)
