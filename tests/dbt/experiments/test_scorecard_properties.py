"""What must hold of every scorecard, on random data through the models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.dbt.experiments.model_sql import (
    Row,
    build,
    fill,
    project_variables,
    render,
    rows,
)
from tests.dbt.experiments.scorecards import (
    MOMENTS,
    NAMES,
    PARTS,
    Arm,
    Comparison,
    adjust,
    judge,
    put_arms,
)


@dataclass(frozen=True, slots=True)
class ShiftedArm(Arm):
    """An arm whose moments are given, shifts and all."""

    row: Row = field(default_factory=dict)

    def moments(self) -> Row:
        return self.row


UNIT_DAYS = NAMES | {
    "unit_id": "varchar",
    "as_of_date": "date",
    "is_latest": "boolean",
    "numerator": "double",
    "denominator": "double",
}
COVARIATES = NAMES | {
    "unit_id": "varchar",
    "numerator": "double",
    "denominator": "double",
    "has_history": "boolean",
}


def sums(values: np.ndarray, before: np.ndarray | None = None) -> Arm:
    """Plain sums of one arm's outcomes, and of its covariate."""
    totals = {"numerator": float(values.sum())}
    products = {("numerator", "numerator"): float(values @ values)}
    if before is not None:
        totals["covariate_numerator"] = float(before.sum())
        products["numerator", "covariate_numerator"] = float(values @ before)
        products["covariate_numerator", "covariate_numerator"] = float(before @ before)
    return Arm(len(values), totals, products)


def is_zero_outside(lower: float, upper: float) -> bool:
    return lower > 0 or upper < 0


def assert_solves_fieller(row: Row, bound: float) -> None:
    """At a bound, treatment - ratio x control lies t standard errors from 0: the arms know nothing of
    each other.
    """
    ratio = 1 + math.copysign(bound, bound * row["baseline"])
    treatment_variance = row["effect_variance"] - row["baseline_variance"]
    t_quantile = (row["absolute_ci_upper"] - row["absolute_effect"]) / row["absolute_std_error"]
    distance = row["treatment_value"] - ratio * row["baseline"]
    error = math.sqrt(treatment_variance + ratio * ratio * row["baseline_variance"])
    assert abs(distance) == pytest.approx(t_quantile * error, rel=1e-8)


def test_relative_interval_leaves_0_out_exactly_where_the_absolute_one_does() -> None:
    generator = np.random.default_rng(7)
    comparisons = []
    for place in range(300):
        baseline = generator.choice([-20.0, -1.0, -0.3, 0.2, 1.0, 50.0])
        arms = []
        for shift in (0.0, generator.normal(0, 0.4)):
            units = int(generator.integers(8, 200))
            before = generator.normal(0, 1, units)
            arms.append(sums(baseline + shift + before + generator.normal(0, 1, units), before))
        control, treatment = arms
        comparisons.append(
            Comparison(
                str(place),
                control,
                treatment,
                tuning_units=200.0,
                alpha=float(generator.choice([0.01, 0.05, 0.2])),
            )
        )
    judged = judge(comparisons)
    outcomes = set()
    for row in judged.values():
        assert row["status"] == "ok"
        if row["relative_g"] >= 1:
            assert (row["relative_ci_lower"], row["relative_ci_upper"]) == (None, None)
            continue
        absolute = is_zero_outside(row["absolute_ci_lower"], row["absolute_ci_upper"])
        relative = is_zero_outside(row["relative_ci_lower"], row["relative_ci_upper"])
        assert relative == absolute == (row["p_value"] < row["alpha"]), row
        if row["adjustment"] == "none":
            assert_solves_fieller(row, row["relative_ci_lower"])
            assert_solves_fieller(row, row["relative_ci_upper"])
        outcomes.add((row["adjustment"], row["baseline"] < 0, absolute))
        if row["sequential_ci_lower"] is not None:
            sequential = is_zero_outside(row["sequential_ci_lower"], row["sequential_ci_upper"])
            assert sequential == (row["log_e_value"] > -math.log(row["alpha"])), row
    # every combination has been seen: adjustment, sign of the baseline, verdict
    assert len(outcomes) == 3 * 2 * 2


def missing_reasons(judged: list[Row]) -> list[tuple[str | None, str | None]]:
    """Why judged estimates have no relative and no always-valid interval."""
    numbers = ("baseline", "relative_g", "sequential_g", "log_e_value", "tuning_units")
    units = ("control_units", "treatment_units")
    columns = {"status": "varchar"} | dict.fromkeys((*numbers, *units), "double")
    with duckdb.connect() as connection:
        fill(
            connection, "judged", columns, [{name: row[name] for name in columns} for row in judged]
        )
        return connection.execute(
            render(
                "select {{ relative_missing_reason('judged') }}, "
                "{{ sequential_missing_reason('judged', var('sequential_units_minimum')) }} from judged"
            )
        ).fetchall()


def test_an_interval_without_ends_has_a_reason() -> None:
    generator = np.random.default_rng(5)
    units = 400
    control = generator.normal(0, 1, units)
    control = (control - control.mean()) / control.std(ddof=1)
    treatment = generator.normal(1, 1, units)
    comparisons = [
        # control's mean lies so many standard errors from 0
        Comparison(
            f"{distance} {tuning}",
            sums(control + distance / math.sqrt(units)),
            sums(treatment),
            tuning_units=tuning,
        )
        for distance in (0.0, 1.5, 2.5, 9.0)
        for tuning in (800.0, None)
    ]
    judged = judge(comparisons)
    rows_of = [judged[each.name, "none"] for each in comparisons]
    # 1.96 standard errors for one look, some 3.0 for all
    reasons = missing_reasons(rows_of)
    assert reasons[2:] == [
        ("weak_denominator", "weak_denominator"),
        ("weak_denominator", "no_tuning_sample"),
        (None, "weak_denominator"),
        (None, "no_tuning_sample"),
        (None, None),
        (None, "no_tuning_sample"),
    ]
    for row, (relative, sequential) in zip(rows_of, reasons, strict=True):
        assert (row["relative_ci_lower"] is None) == (relative is not None)
        assert (row["sequential_ci_upper"] is None) == (sequential is not None)


def shifted(numerator: list[int], before: list[int], shifts: np.ndarray) -> ShiftedArm:
    """An arm of ratios with a denominator of 1, in moments of shifted values."""
    ones = [1] * len(numerator)
    values = dict(zip(PARTS, np.array([numerator, ones, before, ones], dtype=float), strict=True))
    moved = {part: values[part] - shift for part, shift in zip(PARTS, shifts, strict=True)}
    row: Row = {"units": len(numerator), "units_without_history": 0}
    for place, part in enumerate(PARTS):
        row |= {f"{part}_total": float(values[part].sum()), f"{part}_sum": float(moved[part].sum())}
        for other in PARTS[place:]:
            row[f"{part}_{other}_sum"] = float(moved[part] @ moved[other])
    return ShiftedArm(len(numerator), {}, {}, row)


def test_a_covariate_that_says_nothing_adjusts_by_exactly_nothing() -> None:
    generator = np.random.default_rng(3)
    comparisons = []
    for place in range(200):
        shifts = generator.uniform(-1, 1, 4)
        control = shifted([0, 0, 0], [0, 1, 2], shifts)
        treatment = shifted([0, 1, 0, 1] * 10, [0, 0, 2, 2] * 10, shifts)
        comparisons.append(Comparison(str(place), control, treatment, kind="ratio"))
    rows_of = [row for row in judge(comparisons).values() if row["adjustment"] == "cuped"]
    assert {(row["status"], abs(row["theta"])) for row in rows_of} == {("ok", 0.0)}


@pytest.mark.parametrize(
    ("role", "inference"),
    [
        ("success", "fixed"),
        ("success", "sequential"),
        ("exploratory", "fixed"),
        ("exploratory", "sequential"),
    ],
)
def test_widened_interval_leaves_0_out_exactly_where_the_adjusted_p_value_is_at_most_alpha(
    role: str, inference: str
) -> None:
    generator = np.random.default_rng(11)
    tests: list[Row] = []
    mixture = 6.0
    for family in range(120):
        for metric in range(int(generator.integers(1, 9))):
            t_statistic = float(generator.normal(0, 2.5))
            log_e_value = t_statistic**2 * mixture / (2 * (mixture + 1)) - math.log(mixture + 1) / 2
            tests.append(
                {
                    "experiment_name": f"{family}",
                    "metric_name": f"{metric}",
                    "metric_role": role,
                    "inference": inference,
                    "p_value": math.erfc(abs(t_statistic) / math.sqrt(2)),
                    "log_e_value": log_e_value,
                    "mixture": mixture,
                    "degrees_of_freedom": 1e12,
                    "absolute_effect": t_statistic,
                }
            )
    verdicts = set()
    for row in adjust(tests):
        verdict = row["p_value_adjusted"] <= row["alpha"]
        outside = is_zero_outside(row["adjusted_ci_lower"], row["adjusted_ci_upper"])
        assert outside == verdict, row
        verdicts.add(verdict)
    assert verdicts == {True, False}


def look(day: int, effect: float, log_e_value: float, **others: Any) -> Row:
    """One daily look at a success metric of a sequential experiment; the last of two days is final."""
    return {
        "experiment_name": "one",
        "metric_name": "clicks",
        "metric_role": "success",
        "inference": "sequential",
        "as_of_date": date(2026, 3, day),
        "is_final": day == 2,
        "absolute_effect": effect,
        "log_e_value": log_e_value,
        "mixture": 6.0,
    } | others


@pytest.mark.parametrize("better", ["up", "down"])
def test_evidence_is_remembered_in_its_own_direction(better: str) -> None:
    side = 1.0 if better == "up" else -1.0
    first, last = adjust(
        [look(1, -3 * side, 5, better=better), look(2, 0.2 * side, 2, better=better)]
    )
    assert first["sequential_harm_p_value"] == pytest.approx(math.exp(-5))
    assert first["sequential_improvement_p_value"] == 1
    # harm was shown and stays so; the better effect of now has its own, smaller evidence
    assert last["sequential_p_value"] == pytest.approx(math.exp(-5))
    assert last["sequential_harm_p_value"] == pytest.approx(math.exp(-5))
    assert last["sequential_improvement_p_value"] == pytest.approx(math.exp(-2))


def test_evidence_that_is_none_is_no_smaller_than_1() -> None:
    (row,) = adjust([look(2, 1.0, -0.5)])
    assert row["sequential_improvement_p_value"] == row["sequential_harm_p_value"] == 1


def test_what_gets_worse_frees_no_alpha_for_what_gets_better() -> None:
    tests: list[Row] = [
        {
            "experiment_name": "one",
            "metric_name": f"metric {place}",
            "metric_role": "success",
            "inference": "fixed",
            "absolute_effect": effect,
            "p_value": p_value,
        }
        for place, (effect, p_value) in enumerate([(-1.0, 0.001), (1.0, 0.02), (1.0, 0.03)])
    ]
    # Holm in each direction, where what points the other way has a p-value of 1
    assert [row["p_value_adjusted"] for row in adjust(tests)] == pytest.approx([0.003, 0.06, 0.06])


def effect_of(metric: str, p_value: float | None, adjustment: str = "none", **others: Any) -> Row:
    """The final test of a success metric that got better in a fixed experiment."""
    return {
        "experiment_name": "one",
        "metric_name": metric,
        "metric_role": "success",
        "inference": "fixed",
        "adjustment": adjustment,
        "absolute_effect": 1.0,
        "p_value": p_value,
    } | others


def verdicts(rows_of: list[Row]) -> dict[tuple[str, str], tuple[bool, int, float | None]]:
    """(metric, adjustment) -> whether it decides, the size of its family, its adjusted p-value."""
    return {
        (row["metric_name"], row["adjustment"]): (
            row["is_deciding"],
            row["family_size"],
            None if row["p_value_adjusted"] is None else round(row["p_value_adjusted"], 12),
        )
        for row in rows_of
    }


def test_one_family_holds_the_estimates_that_decide() -> None:
    found = verdicts(
        adjust([effect_of("a", 0.5), effect_of("a", 0.04, "cuped"), effect_of("b", 0.03)])
    )
    assert found == {
        ("a", "none"): (False, 2, 0.5),
        ("a", "cuped"): (True, 2, 0.06),
        ("b", "none"): (True, 2, 0.06),
    }


def test_an_adjustment_that_does_not_decide_is_tested_as_if_it_did() -> None:
    found = verdicts(
        adjust(
            [
                effect_of("a", 0.01),
                effect_of("a", 0.04, "cuped"),
                effect_of("a", 0.002, "lin"),
                effect_of("b", 0.03),
                effect_of("b", None, "cuped", status="no_history", absolute_effect=None),
                effect_of("b", None, "lin", status="no_history", absolute_effect=None),
                effect_of("c", 0.02),
                effect_of("c", 0.5, "cuped"),
                effect_of("c", 0.03, "lin"),
            ]
        )
    )
    assert found == {
        # cuped .04, raw .03 where there is none, cuped .5
        ("a", "cuped"): (True, 3, 0.09),
        ("b", "none"): (True, 3, 0.09),
        ("c", "cuped"): (True, 3, 0.5),
        # all raw: .01, .03, .02
        ("a", "none"): (False, 3, 0.03),
        ("c", "none"): (False, 3, 0.04),
        # Lin's: .002 and .03, beside the .03 of b
        ("a", "lin"): (False, 3, 0.006),
        ("c", "lin"): (False, 3, 0.06),
        ("b", "cuped"): (False, 3, None),
        ("b", "lin"): (False, 3, None),
    }


def test_declared_comparisons_without_data_count() -> None:
    tests = [
        effect_of("a", 0.01, treatment_variant="t"),
        effect_of("a", 0.02, treatment_variant="u"),
        effect_of("b", None, treatment_variant="t", status="one_unit", absolute_effect=None),
    ]
    silent = [
        {"experiment_name": "one", "metric_name": "c", "role": "success"},
        {"experiment_name": "one", "metric_name": "d", "role": "guardrail"},
    ]
    # three success metrics x two treatments
    assert [row["family_size"] for row in adjust(tests, silent)] == [6, 6, 6]
    assert [row["p_value_adjusted"] for row in adjust(tests, silent)] == pytest.approx(
        [0.06, 0.1, None]
    )


def moments_of(
    sql: str, days: int = 1, *, kind: str = "ratio", is_covered: bool = True
) -> list[Row]:
    """Moments of units that a query makes: unit_id, variant, numerator, denominator, covariate."""
    with duckdb.connect() as connection:
        fill(connection, "int_experiment_unit_days", UNIT_DAYS, [])
        fill(connection, "int_experiment_covariates", COVARIATES, [])
        connection.execute(f"create table units as {sql}")
        connection.execute(
            "insert into int_experiment_unit_days by name "
            "select 'one' as experiment_name, 'one' as metric_name, $kind as kind, variant, "
            "unit_id::varchar as unit_id, date '2026-03-01' + day::integer as as_of_date, "
            "day = $days - 1 as is_latest, numerator * (day + 1) / $days as numerator, "
            "case when $kind = 'ratio' then denominator else 1e0 end as denominator "
            "from units, range($days) as calendar (day)",
            {"days": days, "kind": kind},
        )
        put_arms(connection)
        connection.execute(
            "insert into int_experiment_covariates by name "
            "select 'one' as experiment_name, 'one' as metric_name, unit_id::varchar as unit_id, "
            "covariate as numerator, case when $kind = 'ratio' then 2e0 + denominator else 1e0 end "
            "as denominator, unit_id % 3 = 0 as has_history from units where $is_covered",
            {"kind": kind, "is_covered": is_covered},
        )
        connection.execute(
            "create table int_experiment_caps (experiment_name varchar, metric_name varchar, "
            "numerator_cap double, denominator_cap double)"
        )
        connection.execute(
            "create table int_experiment_unit_segments as "
            "select 'one' as experiment_name, unit_id::varchar as unit_id, "
            "'all' as segment_name, 'all' as segment_value from units union all "
            "select 'one', unit_id::varchar, 'part', (unit_id % 7)::varchar from units"
        )
        build(
            connection,
            "int_experiment_unit_values",
            "int_experiment_moments",
            "int_experiment_moments_daily",
        )
        return rows(
            connection,
            "select * from int_experiment_moments union all by name "
            "select *, 'last day' as segment_name, '' as segment_value "
            "from int_experiment_moments_daily "
            f"where as_of_date = date '2026-03-01' + {days - 1}",
        )


UNITS = """
    select
        i as unit_id,
        case when hash(i) % 2 = 0 then 'control' else 'treatment' end as variant,
        {mean}e0 + {spread}e0 * sin(i * 1.7e0) as numerator,
        3e0 + cos(i) as denominator,
        50e0 + 0.1e0 * sin(i * 0.9e0) as covariate
    from range({units}) as series (i)
"""


# all units together have only the sums of their shape, segments and days have all of them
@pytest.mark.parametrize("kind", ["mean", "ratio"])
@pytest.mark.parametrize("is_covered", [False, True])
def test_merged_moments_are_those_of_one_pass_and_of_the_last_day(
    kind: str, is_covered: bool
) -> None:
    found = moments_of(
        UNITS.format(units=4000, mean=10, spread=3), days=3, kind=kind, is_covered=is_covered
    )
    columns = [name for name, kind in MOMENTS.items() if kind == "double"]
    for variant in ("control", "treatment"):
        rows_of = [row for row in found if row["variant"] == variant]
        (whole,) = [row for row in rows_of if row["segment_name"] == "all"]
        (last,) = [row for row in rows_of if row["segment_name"] == "last day"]
        parts = [row for row in rows_of if row["segment_name"] == "part"]
        assert len(parts) == 7
        for column in ("units", "units_without_history"):
            assert sum(row[column] for row in parts) == whole[column] == last[column]
        for column in columns:
            if not is_covered and "covariate" in column:
                assert {row[column] for row in (whole, last, *parts)} == {None}
                continue
            scale = whole[column] if column.endswith("total") else whole["units"]
            merged = math.fsum(row[column] for row in parts)
            assert merged == pytest.approx(whole[column], rel=1e-12, abs=1e-12 * scale), column
            assert last[column] == pytest.approx(whole[column], rel=1e-11, abs=1e-12 * scale), (
                column
            )


def test_variance_of_small_spread_on_a_large_mean_keeps_ten_digits() -> None:
    units = 1_000_000
    found = moments_of(UNITS.format(units=units, mean=100000, spread=0.3))
    place = np.arange(units)
    spread = 0.3 * np.sin(place * 1.7)
    whole = [row for row in found if row["segment_name"] == "all"]
    count = sum(row["units"] for row in whole)
    assert count == units
    product = math.fsum(row["numerator_numerator_sum"] for row in whole)
    total = math.fsum(row["numerator_sum"] for row in whole)
    variance = (product - total * total / count) / (count - 1)
    # 1e5 + spread is rounded to 1.5e-11, which the exact variance of the rounded values has too
    rounded = (1e5 + spread) - 1e5
    mean = math.fsum(rounded) / count
    exact = math.fsum((rounded - mean) ** 2) / (count - 1)
    assert variance == pytest.approx(exact, rel=1e-10)
    assert set(PARTS) <= {name.removesuffix("_total") for name in whole[0]}


def test_nothing_may_be_read_at_any_time_from_fewer_units_than_the_minimum() -> None:
    minimum = project_variables()["sequential_units_minimum"]
    generator = np.random.default_rng(11)

    def drawn(units: int) -> Arm:
        return sums(generator.normal(10, 1, units))

    judged = judge(
        Comparison(
            name, drawn(minimum - short), drawn(minimum + 50), tuning_units=2.0 * minimum + 50
        )
        for name, short in (("short", 1), ("enough", 0))
    )
    short, enough = judged["short", "none"], judged["enough", "none"]
    assert (short["status"], enough["status"]) == ("ok", "ok")
    assert short["p_value"] is not None
    assert (short["log_e_value"], short["sequential_ci_lower"], short["sequential_p_value"]) == (
        None,
        None,
        None,
    )
    assert short["sequential_missing_reason"] == "too_few_units"
    assert enough["log_e_value"] is not None
    assert enough["sequential_missing_reason"] is None
