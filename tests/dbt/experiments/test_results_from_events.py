"""Scorecards of made-up events: what numpy and scipy make of the same units."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy import stats

from tests.dbt.experiments.model_sql import Row, rows
from tests.dbt.experiments.worlds import AS_OF, STARTED_AT, World, results

UNITS = 240
PLANS = ("free", "pro", "team")
ENDED_AT = STARTED_AT + timedelta(days=28)


class Drawn:
    """Units with a plan, spending by their plan, and coming back."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.treated = generator.random(UNITS) < 0.4
        self.plan = generator.choice(PLANS, UNITS, p=(0.6, 0.3, 0.1))
        level = np.where(self.plan == "team", 40.0, np.where(self.plan == "pro", 9.0, 2.0))
        self.orders = 1.0 + generator.poisson(2 + 0.1 * level)
        self.spend = level * generator.gamma(2, 1, UNITS) + 1.5 * self.treated
        # last seen so many hours after the start, if at all: windows have ends
        self.seen_hours = generator.choice(
            [1, 167, 168, 200, 335, 336, 500], UNITS, p=(0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2)
        )

    def unit_ids(self) -> list[str]:
        return [f"u{place}" for place in range(UNITS)]

    def world(self, **said: Any) -> World:
        """The world, with metrics `spend`, `per_order` and `back`."""
        at = STARTED_AT + timedelta(hours=3)
        events: list[tuple[str, str, datetime, float, float]] = []
        for place, unit_id in enumerate(self.unit_ids()):
            spend, orders = float(self.spend[place]), float(self.orders[place])
            later = at + timedelta(days=place % 9)
            seen = STARTED_AT + timedelta(hours=int(self.seen_hours[place]))
            events += [
                ("spend", unit_id, at, spend / 4, 1.0),
                ("spend", unit_id, later, 3 * spend / 4, 1.0),
                ("per_order", unit_id, at, spend, orders),
                ("back", unit_id, at, 1.0, 1.0),
                # who comes back twice comes back
                ("back", unit_id, seen, 1.0, 1.0),
                ("back", unit_id, seen, 1.0, 1.0),
            ]
        plain: dict[str, Any] = {
            "units": {
                unit_id: ("t" if treated else "c", {"plan": str(plan)})
                for unit_id, treated, plan in zip(
                    self.unit_ids(), self.treated, self.plan, strict=True
                )
            },
            "metrics": {
                "spend": {"kind": "mean", "cap_quantile": 0.95},
                "per_order": {"kind": "ratio", "cap_quantile": 0.9},
                "back": {"kind": "retention", "delay_days": 7.0, "window_days": 7.0},
            },
            "events": events,
            "experiment": {"stratify_by": "plan", "ended_at": ENDED_AT},
        }
        return World(**plain | said)


def scorecard(world: World) -> dict[tuple[str, str, str, str], Row]:
    with duckdb.connect() as connection:
        world.build(connection)
        return results(connection)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn(5)


@pytest.fixture(scope="module")
def rows_of(drawn: Drawn) -> dict[tuple[str, str, str, str], Row]:
    return scorecard(drawn.world())


def welch(row: Row, control: np.ndarray, treatment: np.ndarray) -> None:
    """The row says what scipy says of the two samples."""
    test: Any = stats.ttest_ind(treatment, control, equal_var=False)
    assert (row["control_units"], row["treatment_units"]) == (len(control), len(treatment))
    assert row["control_value"] == pytest.approx(control.mean(), rel=1e-11)
    assert row["treatment_value"] == pytest.approx(treatment.mean(), rel=1e-11)
    assert row["p_value"] == pytest.approx(test.pvalue, rel=1e-9)
    assert row["degrees_of_freedom"] == pytest.approx(test.df, rel=1e-9)
    assert row["absolute_ci_lower"] == pytest.approx(test.confidence_interval().low, rel=1e-9)


def test_capped_means_are_those_of_the_clipped_values(
    drawn: Drawn, rows_of: dict[tuple[str, str, str, str], Row]
) -> None:
    cap = float(np.quantile(drawn.spend, 0.95))
    assert (drawn.spend > cap).sum() > 5
    capped = np.minimum(drawn.spend, cap)
    row = rows_of["spend", "all", "all", "none"]
    welch(row, capped[~drawn.treated], capped[drawn.treated])
    assert (row["numerator_cap"], row["denominator_cap"]) == (pytest.approx(cap), None)
    # one cap for all: segments have that of the experiment
    free = drawn.plan == "free"
    row = rows_of["spend", "plan", "free", "none"]
    welch(row, capped[free & ~drawn.treated], capped[free & drawn.treated])
    assert row["numerator_cap"] == pytest.approx(cap)


def test_both_parts_of_a_ratio_are_capped(
    drawn: Drawn, rows_of: dict[tuple[str, str, str, str], Row]
) -> None:
    row = rows_of["per_order", "all", "all", "none"]
    caps = [float(np.quantile(values, 0.9)) for values in (drawn.spend, drawn.orders)]
    assert [row["numerator_cap"], row["denominator_cap"]] == pytest.approx(caps)
    spend, orders = np.minimum(drawn.spend, caps[0]), np.minimum(drawn.orders, caps[1])
    for variant, arm in (("control", ~drawn.treated), ("treatment", drawn.treated)):
        value = spend[arm].sum() / orders[arm].sum()
        assert row[f"{variant}_value"] == pytest.approx(value, rel=1e-11)


def test_who_was_active_in_the_window_after_the_delay_is_retained(
    drawn: Drawn, rows_of: dict[tuple[str, str, str, str], Row]
) -> None:
    # from 7 whole days after the exposure until before 14
    back = ((drawn.seen_hours >= 168) & (drawn.seen_hours < 336)).astype(float)
    row = rows_of["back", "all", "all", "none"]
    assert (row["numerator_cap"], row["denominator_cap"]) == (None, None)
    welch(row, back[~drawn.treated], back[drawn.treated])


def stratified(
    drawn: Drawn, numerator: np.ndarray, denominator: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Strata weighed by their units in both arms: values, variance and Welch's degrees of freedom."""
    strata = [labels == label for label in sorted(set(labels))]
    weights = [stratum.mean() for stratum in strata]
    found = {}
    variance = freedom = 0.0
    for side, arm in (("control", ~drawn.treated), ("treatment", drawn.treated)):
        cells = [(weight, arm & stratum) for weight, stratum in zip(weights, strata, strict=True)]
        top = sum(weight * numerator[cell].mean() for weight, cell in cells)
        bottom = sum(weight * denominator[cell].mean() for weight, cell in cells)
        found[side] = top / bottom
        # of a mean its deviations, of a ratio those of its linearised units
        units = (numerator - found[side] * denominator) / bottom
        parts = [(weight**2 * units[cell].var(ddof=1) / cell.sum(), cell) for weight, cell in cells]
        variance += sum(part for part, _ in parts)
        freedom += sum(part**2 / (cell.sum() - 1) for part, cell in parts)
    return found | {"variance": variance, "freedom": variance**2 / freedom}


@pytest.mark.parametrize(
    ("metric", "caps"), [("spend", (0.95, None)), ("per_order", (0.9, 0.9))], ids=["mean", "ratio"]
)
def test_strata_are_weighed_by_their_units_in_both_arms(
    metric: str,
    caps: tuple[float, float | None],
    drawn: Drawn,
    rows_of: dict[tuple[str, str, str, str], Row],
) -> None:
    spend = np.minimum(drawn.spend, np.quantile(drawn.spend, caps[0]))
    orders = np.minimum(drawn.orders, np.quantile(drawn.orders, caps[1])) if caps[1] else None
    denominator = np.ones(UNITS) if orders is None else orders
    wanted = stratified(drawn, spend, denominator, drawn.plan)
    row = rows_of[metric, "all", "all", "post_stratified"]
    assert row["status"] == "ok"
    assert row["control_value"] == pytest.approx(wanted["control"], rel=1e-11)
    assert row["treatment_value"] == pytest.approx(wanted["treatment"], rel=1e-11)
    error = math.sqrt(wanted["variance"])
    assert row["absolute_std_error"] == pytest.approx(error, rel=1e-9)
    assert row["degrees_of_freedom"] == pytest.approx(wanted["freedom"], rel=1e-9)
    t_statistic = (wanted["treatment"] - wanted["control"]) / error
    p_value = 2 * stats.t.sf(abs(t_statistic), wanted["freedom"])
    assert row["p_value"] == pytest.approx(p_value, rel=1e-8)
    # spending follows the plan: what strata explain is gone
    raw = rows_of[metric, "all", "all", "none"]
    removed = 1 - wanted["variance"] / raw["absolute_std_error"] ** 2
    assert row["variance_removed"] == pytest.approx(removed, rel=1e-9)
    assert row["variance_removed"] > 0.1


def test_a_stratum_with_one_unit_of_an_arm_is_too_thin(drawn: Drawn) -> None:
    world = drawn.world()
    units = dict(world.units)
    for unit_id in ("u0", "u1", "u2"):
        units[unit_id] = ("t" if unit_id == "u0" else "c", {"plan": "rare"})
    row = scorecard(drawn.world(units=units))["spend", "all", "all", "post_stratified"]
    assert (row["status"], row["absolute_effect"], row["p_value"]) == ("thin_stratum", None, None)
    units["u3"] = ("t", {"plan": "rare"})
    row = scorecard(drawn.world(units=units))["spend", "all", "all", "post_stratified"]
    assert row["status"] == "ok"
    assert row["absolute_effect"] is not None


@pytest.mark.parametrize("without", [{}, {"plan": ""}], ids=["no attributes", "empty"])
def test_units_without_a_value_are_a_stratum(without: dict[str, str], drawn: Drawn) -> None:
    units = dict(drawn.world().units)
    unknown = np.arange(UNITS) % 5 == 0
    for place in np.flatnonzero(unknown):
        units[f"u{place}"] = (units[f"u{place}"][0], without)
    # of a segment that it is not stratified by, nothing is known of whoever lacks it
    units["u1"] = (units["u1"][0], {**units["u1"][1], "role": "admin"})
    found = scorecard(drawn.world(units=units))
    labels = np.where(unknown, "unknown", drawn.plan)
    spend = np.minimum(drawn.spend, np.quantile(drawn.spend, 0.95))
    wanted = stratified(drawn, spend, np.ones(UNITS), labels)
    row = found["spend", "all", "all", "post_stratified"]
    assert row["status"] == "ok"
    assert row["treatment_value"] == pytest.approx(wanted["treatment"], rel=1e-11)
    error = math.sqrt(wanted["variance"])
    assert row["absolute_std_error"] == pytest.approx(error, rel=1e-9)
    stratum = found["spend", "plan", "unknown", "none"]
    assert stratum["control_units"] + stratum["treatment_units"] == unknown.sum()
    assert {key[2] for key in found if key[1] == "role"} == {"admin"}


def test_what_cannot_be_said_yet_has_a_reason(drawn: Drawn) -> None:
    days = (AS_OF - STARTED_AT).days
    found = scorecard(
        drawn.world(
            experiment={"inference": "sequential"},
            metrics={
                "spend": {"kind": "mean"},
                "back": {"kind": "retention", "delay_days": 7.0, "window_days": days - 6.0},
            },
        )
    )
    open_row = found["back", "all", "all", "none"]
    assert (open_row["status"], open_row["immature_units"]) == ("immature_window", UNITS)
    assert (open_row["control_units"], open_row["absolute_effect"]) == (0, None)
    untuned = found["spend", "all", "all", "none"]
    assert untuned["status"] == "ok"
    assert untuned["sequential_missing_reason"] == "no_tuning_sample"
    assert untuned["deciding_ci_missing_reason"] == "no_tuning_sample"
    assert (untuned["e_value"], untuned["sequential_ci_lower"]) == (None, None)
    assert untuned["p_value"] is not None


def test_adjustments_are_named_in_order(
    drawn: Drawn, rows_of: dict[tuple[str, str, str, str], Row]
) -> None:
    def chain(*key: str) -> object:
        return rows_of[key[0], key[1], key[2], key[3]]["adjustment_chain"]

    assert chain("spend", "all", "all", "none") == "capped at p95 > holm"
    assert chain("spend", "plan", "pro", "none") == "capped at p95 > benjamini_hochberg"
    assert (
        chain("spend", "all", "all", "post_stratified")
        == "capped at p95 > post_stratified by plan > holm"
    )
    assert chain("back", "all", "all", "none") == "holm"
    world = drawn.world(
        experiment={"inference": "sequential"},
        metrics={
            "spend": {"kind": "mean", "cap_quantile": 0.999, "covariate_days": 7.0}
            | {"role": "guardrail"},
            "per_order": {"kind": "ratio", "role": "guardrail"},
            "silent": {"kind": "retention", "delay_days": 7.0, "window_days": 99.0},
        },
    )
    with duckdb.connect() as connection:
        world.build(connection)
        found = results(connection)
        daily = {
            (row["metric_name"], row["adjustment"]): row["adjustment_chain"]
            for row in rows(connection, "from rpt_experiment_results_daily")
        }
    assert found["silent", "all", "all", "none"]["adjustment_chain"] is None
    # nobody has a history: CUPED gives no estimate that could be corrected
    for estimate, wanted in {
        ("spend", "none"): "capped at p99.9",
        ("spend", "cuped"): "capped at p99.9 > cuped",
        ("per_order", "none"): "none",
    }.items():
        metric, adjustment = estimate
        assert found[metric, "all", "all", adjustment]["adjustment_chain"] == wanted
        assert daily[estimate] == wanted


def test_what_is_left_out_stands_on_every_row(drawn: Drawn) -> None:
    week = timedelta(days=7)
    unit_ids = drawn.unit_ids()
    triggers = {unit_id: STARTED_AT + timedelta(days=2, hours=1) for unit_id in unit_ids[:40]}
    apart = dict.fromkeys(unit_ids[-3:], "several_variants")
    apart |= dict.fromkeys(unit_ids[-8:-3], "excluded_unit")
    apart |= dict.fromkeys(unit_ids[-10:-8], "not_triggered")
    # a month after this instant there are windows that are still open
    first_day, last_day = STARTED_AT.date(), STARTED_AT.date() + timedelta(days=8)
    open_until = (AS_OF - STARTED_AT).days - 1.0
    world = drawn.world(
        set_apart=apart,
        analysed_from=triggers | dict.fromkeys(unit_ids[-10:-8]),
        late_events={first_day: 3, first_day + week: 4},
        metrics={
            "spend": {"kind": "mean"},
            "per_order": {"kind": "ratio", "window_days": 3.0},
            "back": {"kind": "retention", "window_days": open_until},
        },
    )
    with duckdb.connect() as connection:
        world.build(connection)
        found = results(connection)
        daily = {
            (row["metric_name"], row["as_of_date"]): row
            for row in rows(connection, "from rpt_experiment_results_daily")
        }
    row = found["spend", "all", "all", "none"]
    counts = ("several_variants_units", "excluded_units", "not_triggered_units", "late_events")
    assert [row[name] for name in counts] == [3, 5, 2, 7]
    assert row["immature_units"] == 0
    # who was triggered two days later is still in the window, plan by plan
    late = np.array([unit_id in triggers for unit_id in unit_ids])
    for plan in PLANS:
        segment = found["back", "plan", plan, "none"]
        wanted = int((late & (drawn.plan == plan)).sum())
        assert segment["immature_units"] == wanted > 0
    assert found["back", "all", "all", "none"]["immature_units"] == 40

    def left_out(metric: str, day: date) -> list[int]:
        row = daily[metric, day]
        return [row["immature_units"], *(row[name] for name in counts)]

    waiting = len(triggers)
    analysed = UNITS - len(apart) - waiting
    assert left_out("spend", first_day) == [0, 3, 5, 2 + waiting, 3]
    assert left_out("spend", first_day + timedelta(days=1)) == [0, 3, 5, 2 + waiting, 3]
    assert left_out("spend", first_day + timedelta(days=2)) == [0, 3, 5, 2, 3]
    assert left_out("spend", last_day) == [0, 3, 5, 2, 7]
    # three days after they were triggered, and a hair more: the clock of a window starts there
    third, fifth = (first_day + timedelta(days=days) for days in (3, 5))
    assert left_out("per_order", third)[0] == waiting
    assert left_out("per_order", fifth)[0] == 0
    for metric, day in (("spend", first_day), ("per_order", third), ("per_order", fifth)):
        row = daily[metric, day]
        counted = row["control_units"] + row["treatment_units"]
        # whoever was exposed is analysed, or said to be left out
        assert counted + sum(left_out(metric, day)[:4]) == UNITS
    assert daily["per_order", third]["control_units"] < analysed


def test_a_delay_without_a_window_must_pass_before_the_end(drawn: Drawn) -> None:
    # a unit an hour, from the start on; half of the events come before the delay has passed
    delay = timedelta(days=7)
    entered = {
        unit_id: STARTED_AT + timedelta(hours=place)
        for place, unit_id in enumerate(drawn.unit_ids())
    }
    events = [
        ("late", unit_id, at + after, 1.0, 1.0)
        for unit_id, at in entered.items()
        for after in (timedelta(hours=1), delay)
    ]
    metrics = {"late": {"kind": "mean", "delay_days": 7.0, "covariate_days": 7.0}}

    def left_out(row: Row) -> tuple[int, int, int]:
        counted = row["control_units"] + row["treatment_units"]
        return counted, row["immature_units"], row["out_of_time_units"]

    def built(
        ended_after: float, as_of: datetime = AS_OF, metrics: dict[str, dict[str, Any]] = metrics
    ) -> tuple[Row, dict[int, Row]]:
        world = drawn.world(
            experiment={"ended_at": STARTED_AT + timedelta(days=ended_after)},
            metrics=metrics,
            events=events,
            analysed_from=entered,
            as_of=as_of,
        )
        with duckdb.connect() as connection:
            world.build(connection)
            daily = {
                (row["as_of_date"] - STARTED_AT.date()).days: row
                for row in rows(
                    connection, "from rpt_experiment_results_daily where adjustment = 'none'"
                )
            }
            return results(connection)["late", "all", "all", "none"], daily

    row, daily = built(14.0)
    assert (left_out(row), row["status"]) == ((168, 0, 72), "zero_variance")
    assert (row["control_value"], row["treatment_value"]) == (1.0, 1.0)
    # who is exposed on a day counts a week later, or never
    assert left_out(daily[7]) == (24, 144, 24)
    assert left_out(daily[13]) == (168, 0, 72)
    # while it runs the others may still count
    row, daily = built(14.0, STARTED_AT + timedelta(days=12))
    assert left_out(row) == (5 * 24 + 1, 47, 72)
    assert max(daily) == 12
    row, daily = built(6.0)
    assert (left_out(row), row["status"], daily) == ((0, 0, 240), "out_of_time", {})
    # what has a window goes on after the end
    row, _ = built(6.0, metrics={"late": metrics["late"] | {"window_days": 1.0}})
    assert left_out(row) == (240, 0, 0)


def quantile_of(values: np.ndarray, units: np.ndarray, quantile: float) -> tuple[float, float]:
    """A quantile of events of units, and its variance by the outer order statistics (Deng 2018)."""
    value = float(np.quantile(values, quantile))
    below = (values <= value).astype(float)
    ids = np.unique(units)
    # each unit's events below, less what its number of events lets expect
    rest = np.array([(below[units == unit] - below.mean()).sum() for unit in ids])
    error = math.sqrt((rest**2).sum() * len(ids) / (len(ids) - 1)) / len(values)
    ordered = np.sort(values)
    z_score = float(stats.norm.ppf(0.975))
    lower = ordered[math.floor(len(values) * (quantile - z_score * error)) - 1]
    upper = ordered[math.ceil(len(values) * (quantile + z_score * error)) - 1]
    count = len(values)
    return value, ((upper - lower) / (2 * z_score)) ** 2 * (count - 1) / count


def test_an_arm_without_events_has_too_few_for_a_quantile(drawn: Drawn) -> None:
    events = [
        ("latency", f"u{unit}", STARTED_AT + timedelta(hours=1), float(unit), 0.0)
        for unit in np.flatnonzero(~drawn.treated)
    ]
    found = scorecard(
        drawn.world(metrics={"latency": {"kind": "quantile", "quantile": 0.5}}, events=events)
    )
    row = found["latency", "all", "all", "none"]
    assert (row["status"], row["is_deciding"]) == ("too_few_events", True)
    assert (row["control_units"], row["treatment_units"]) == (len(events), 0)
    assert (row["control_value"], row["p_value"]) == (
        pytest.approx(np.median(np.flatnonzero(~drawn.treated))),
        None,
    )
    # each segment value that has units says the same
    assert {each["status"] for each in found.values()} == {"too_few_events"}


def test_quantiles_of_each_day_are_of_what_had_happened_by_its_end(drawn: Drawn) -> None:
    generator = np.random.default_rng(9)
    count = 2500
    unit = generator.integers(0, UNITS, count)
    # a unit's events hang together
    value = generator.lognormal(0, 1, UNITS)[unit] * generator.lognormal(0, 0.3, count)
    hours = generator.integers(0, 6 * 24, count)
    events = [
        (metric, f"u{unit[place]}", STARTED_AT + timedelta(hours=int(hours[place])))
        + (float(value[place]), 0.0)
        for place in range(count)
        for metric in ("latency", "early")
    ]
    metrics = {
        "latency": {"kind": "quantile", "quantile": 0.8},
        "early": {"kind": "quantile", "quantile": 0.5, "window_days": 2.0},
    }
    with duckdb.connect() as connection:
        drawn.world(metrics=metrics, events=events).build(connection)
        final = results(connection)
        daily = {
            (row["metric_name"], (row["as_of_date"] - STARTED_AT.date()).days): row
            for row in rows(connection, "from rpt_experiment_results_daily")
        }
    # a window that must close counts whole, on the day it does
    assert set(daily) == {("latency", day) for day in range(6)} | {
        ("early", day) for day in range(2, 6)
    }
    for (metric, day), row in daily.items():
        quantile = metrics[metric]["quantile"]
        seen = hours < (48 if metric == "early" else 24 * (day + 1))
        assert (row["status"], row["segment_name"]) == ("ok", "all")
        variance = 0.0
        for side, arm in (("control", ~drawn.treated), ("treatment", drawn.treated)):
            chosen = seen & arm[unit]
            wanted, part = quantile_of(value[chosen], unit[chosen], float(str(quantile)))
            assert row[f"{side}_value"] == pytest.approx(wanted, rel=1e-11)
            assert row[f"{side}_units"] == len(np.unique(unit[chosen]))
            variance += part
        assert row["absolute_std_error"] == pytest.approx(math.sqrt(variance), rel=1e-9)
    for metric in metrics:
        last, row = daily[metric, 5], final[metric, "all", "all", "none"]
        for name in ("treatment_units", "absolute_effect", "absolute_std_error", "p_value"):
            assert last[name] == row[name]
    # plans have a final row only
    assert final["latency", "plan", "pro", "none"]["status"] == "ok"
