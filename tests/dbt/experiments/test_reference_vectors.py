"""Published and computed reference vectors, through the scorecard's own SQL.

Every number that a vector expects is either compared, at the vector's tolerance, or named here
with the reason why attune's number is another one. `special` and the sample ratios have test
modules of their own.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from tests.dbt.experiments.model_sql import Row, build, fill, render, rows
from tests.dbt.experiments.scorecards import (
    NAMES,
    Arm,
    Comparison,
    adjust,
    declare,
    judge,
    put_arms,
)
from tests.dbt.experiments.test_sequential_bounds import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Vector = dict[str, Any]
Vectors = dict[str, Vector]

DELTA = "delta-method relative interval; attune's is Fieller's, which agrees with the absolute test"
LOG_RATIO = "interval of the log ratio; attune's is Fieller's"
NORMAL = "normal quantile and tail; attune takes Student's t with Welch's degrees of freedom"
BINOMIAL = "variance p (1 - p); attune's has n - 1 for proportions too"
SEQUENCE = "relative confidence sequence by the delta method; attune's is Fieller's"
ONE_SIDED_SEQUENCE = "one-sided confidence sequence; attune's are two-sided"
ADJUSTED_BASELINE = "relative to the adjusted control; attune's is relative to the raw one"
FLOOR = "p-value clipped to 0; attune returns the tail"
THETA = "theta of two arms' sums of variances; attune takes both arms as one sample"
INFEASIBLE = "no data have these moments; attune refuses them"
MIXTURE = (
    "mixture sequential ratio test with a mixture that shrinks; attune has confidence sequences"
)
CONFSEQ = "another confidence sequence; attune's is asymptotic (Waudby-Smith et al. 2024)"
PROCEDURE = "another procedure; attune adjusts by Holm and Benjamini-Hochberg"
MARGIN = "normal tail, and the margin taken as known; attune's margin is of an estimated control"
BAYES_INTERVAL = "attune reports the posterior's mean and standard deviation, no interval"
KEEPING = "the loss of keeping control is not reported; it is that of shipping plus the mean"

# vector -> reason, for vectors of which no number is compared
OTHERS = {
    "cuped_prop_rel": INFEASIBLE,
    "ratio_rel_infeasible": INFEASIBLE,
    "cuped_ratio_rel": THETA,
    "bayes_prop_flat": f"{DELTA}; {BINOMIAL}",
    "bayes_mean_flat": DELTA,
    "bayes_mean_informative": DELTA,
    "mtc_by": PROCEDURE,
    "mtc_hochberg_bonferroni": PROCEDURE,
    "mtc_holm_sidak": PROCEDURE,
    "ztest_one_sided_decrease": NORMAL,
    "statsig_msprt": MIXTURE,
    "confseq_normal_two_sided": CONFSEQ,
    "confseq_beta_binomial_two_sided": CONFSEQ,
    "confseq_bernoulli_ci": CONFSEQ,
    "confseq_quantile_ab_p": CONFSEQ,
}

# families with a module of their own
ELSEWHERE = {
    "special": "tests/dbt/statistics/test_statistics_macros.py",
    "power": "tests/dbt/statistics/test_statistics_macros.py",
    "srm": "tests/dbt/intermediate/experiments/test_sample_ratios.py",
    "srm_sequential": "tests/dbt/intermediate/experiments/test_sample_ratios.py",
}

ABSOLUTE = {
    "estimate": "absolute_effect",
    "se": "absolute_std_error",
    "ci": ("absolute_ci_lower", "absolute_ci_upper"),
    "p_value": "p_value",
    "df": "degrees_of_freedom",
}
RELATIVE = {"estimate": "relative_effect", "df": "degrees_of_freedom"}
BOTH = {
    "control": "control_value",
    "treatment": "treatment_value",
    "effect_size": "absolute_effect",
    "rel_effect_size": "relative_effect",
    "statistic": "t_statistic",
}
DELTA_NUMBERS = dict.fromkeys(("se", "ci", "p_value"), DELTA)

# vector -> adjustment, expected number -> column (or how to take it), number left out -> reason
SCORECARD: dict[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "mean_rel_welch": ("none", RELATIVE, DELTA_NUMBERS),
    "mean_abs_welch": ("none", ABSOLUTE, {}),
    "mean_rel_one_sided_greater": ("none", RELATIVE, DELTA_NUMBERS),
    # one-sided at alpha: the lower bound of twice alpha, and the test against a margin of 0
    "mean_abs_one_sided_greater": (
        "none",
        ABSOLUTE | {"ci": ("absolute_ci_lower", None), "p_value": "non_inferiority_p_value"},
        {},
    ),
    "mean_rel_negative_baseline": ("none", RELATIVE, DELTA_NUMBERS),
    "tt_mean_welch_logci": (
        "none",
        BOTH
        | {
            "effect_size_ci_lower": "absolute_ci_lower",
            "effect_size_ci_upper": "absolute_ci_upper",
            "pvalue": "p_value",
        },
        dict.fromkeys(("rel_effect_size_ci_lower", "rel_effect_size_ci_upper"), LOG_RATIO),
    ),
    "ztest_two_sided": (
        "none",
        {"difference": "absolute_effect"},
        {"ci": NORMAL, "p_value": NORMAL},
    ),
    "ztest_nim_increase": (
        "none",
        {"difference": "absolute_effect"},
        {"ci": MARGIN, "p_value": MARGIN},
    ),
    "ztest_nim_decrease": (
        "none",
        {"difference": "absolute_effect"},
        {"ci": MARGIN, "p_value": MARGIN},
    ),
    "prop_rel_small": (
        "none",
        {"estimate": "relative_effect"},
        DELTA_NUMBERS | {"df": BINOMIAL},
    ),
    "seq_mean_rel_N1000": ("none", RELATIVE, DELTA_NUMBERS | {"p_value": SEQUENCE}),
    "seq_prop_rel_N5000": (
        "none",
        {"estimate": "relative_effect"},
        DELTA_NUMBERS | {"df": BINOMIAL},
    ),
    "seq_cuped_rel_N5000": ("cuped", RELATIVE | {"theta": "theta"}, DELTA_NUMBERS),
    "seq_one_sided_greater_absolute": (
        "none",
        {key: ABSOLUTE[key] for key in ("estimate", "se", "df")},
        {"ci": ONE_SIDED_SEQUENCE, "p_value": ONE_SIDED_SEQUENCE},
    ),
    "seq_one_sided_greater_relative": (
        "none",
        RELATIVE,
        {"se": DELTA, "ci": ONE_SIDED_SEQUENCE, "p_value": ONE_SIDED_SEQUENCE},
    ),
    "seq_mean_rel_N600": ("none", RELATIVE, DELTA_NUMBERS),
    "asympcs_6868": (
        "none",
        {
            "halfwidth": lambda row: row["sequential_critical_value"] * row["absolute_std_error"],
            "log_e_value": "log_e_value",
            "p_value": "sequential_p_value",
        },
        {},
    ),
    "cuped_mean_rel": ("cuped", RELATIVE | {"theta": "theta"}, DELTA_NUMBERS),
    "cuped_mean_abs": ("cuped", ABSOLUTE | {"theta": "theta"}, {}),
    "tt_ratio_cuped_less_z": (
        "cuped",
        {key: BOTH[key] for key in BOTH if key != "rel_effect_size"},
        {"rel_effect_size": ADJUSTED_BASELINE}
        | dict.fromkeys(("effect_size_ci_lower", "effect_size_ci_upper", "pvalue"), NORMAL)
        | dict.fromkeys(("rel_effect_size_ci_lower", "rel_effect_size_ci_upper"), LOG_RATIO),
    ),
    "ratio_rel": ("none", RELATIVE, DELTA_NUMBERS),
    "ratio_abs": ("none", ABSOLUTE, {}),
    "quantile_p90_abs": (
        "none",
        {key: ABSOLUTE[key] for key in ("estimate", "se", "ci", "df")},
        {"p_value": FLOOR},
    ),
    "quantile_p90_rel": ("none", RELATIVE, DELTA_NUMBERS),
    "bayes_quantile_informative_abs": (
        "none",
        {
            "posterior_mean": "posterior_mean",
            "posterior_sd": "posterior_std_dev",
            "chance_to_beat_control": "probability_of_improvement",
            "risk.1": "expected_loss",
        },
        {"ci": BAYES_INTERVAL, "risk.0": KEEPING},
    ),
    "lin_adjusted": (
        "lin",
        {
            "ate": "absolute_effect",
            "se": "absolute_std_error",
            "adjusted_means": ("control_value", "treatment_value"),
        },
        {},
    ),
}

# vectors that tests below compare whole
BELOW = {
    "mtc_bh",
    "mtc_holm_bonferroni",
    "e_bh",
    "bounds_gst_4",
    "gst_two_sided_first_look",
    "fieller_rel_mean",
    "fieller_unbounded",
    "quantile_order_ci",
    "ratio_cap_population",
    "interaction_2x2",
    "assignment_dependence",
    "empirical_bayes_dl",
}


@pytest.fixture(scope="module")
def vectors(shared_dir: Path) -> Vectors:
    path = shared_dir / "reference" / "experiment_vectors.json"
    given = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return {vector["id"]: vector for vector in given}


def assert_close(actual: Any, wanted: Any, vector: Vector, what: str) -> None:
    """Equal at the vector's tolerance; values near 0 to 1e-9 absolutely."""
    assert actual is not None, f"{vector['id']} {what} is missing, wanted {wanted}"
    close = pytest.approx(wanted, rel=vector["rel_tol"], abs=1e-300)
    assert actual == close, f"{vector['id']} {what}"


def plain_arm(given: Mapping[str, Any]) -> Arm:
    """The arm of whatever a vector states: sums, sums of both windows, means or rows."""
    names = {
        "post": "numerator",
        "pre": "covariate_numerator",
        "numerator": "numerator",
        "denominator": "denominator",
        "m_statistic_post": "numerator",
        "d_statistic_post": "denominator",
        "m_statistic_pre": "covariate_numerator",
        "d_statistic_pre": "covariate_denominator",
    }
    totals, products = {}, {}
    if "sum" in given:
        totals["numerator"] = given["sum"]
        products["numerator", "numerator"] = given.get("sum_squares", given["sum"])
    for name, part in names.items():
        if name in given:
            totals[part] = given[name]["sum"]
            products[part, part] = given[name].get("sum_squares", given[name]["sum"])
    if "post_pre_sum_of_products" in given:
        products["numerator", "covariate_numerator"] = given["post_pre_sum_of_products"]
    if "sum_of_products" in given:
        products["numerator", "denominator"] = given["sum_of_products"]
    return Arm(given["n"], totals, products)


def arm_of_means(given: Mapping[str, Any]) -> Arm:
    """The arm of means, variances and covariances."""
    parts = {
        "orders": "numerator",
        "sessions": "denominator",
        "orders_covariate": "covariate_numerator",
        "sessions_covariate": "covariate_denominator",
    }
    units = given["n"]
    stated = [name for name in parts if f"mean_{name}" in given]
    totals = {parts[name]: given[f"mean_{name}"] * units for name in stated}
    products = {}
    for place, name in enumerate(stated):
        for other in stated[place:]:
            key = f"var_{name}" if name == other else f"cov_{name}__{other}"
            products[parts[name], parts[other]] = given[key] * (units - 1) + units * (
                given[f"mean_{name}"] * given[f"mean_{other}"]
            )
    return Arm(units, totals, products)


def arm_of_rows(given: list[list[float]]) -> Arm:
    """The arm of pairs (covariate, outcome)."""
    outcomes = [outcome for _, outcome in given]
    covariates = [covariate for covariate, _ in given]
    return Arm(
        len(given),
        {"numerator": math.fsum(outcomes), "covariate_numerator": math.fsum(covariates)},
        {
            ("numerator", "numerator"): math.fsum(y * y for y in outcomes),
            ("numerator", "covariate_numerator"): math.fsum(x * y for x, y in given),
            ("covariate_numerator", "covariate_numerator"): math.fsum(x * x for x in covariates),
        },
    )


def quantile_arm(given: Mapping[str, Any]) -> Row:
    """The row of int_experiment_quantiles for bounds that a vector states."""
    half = (given["quantile_upper"] - given["quantile_lower"]) / (2 * 1.959963984540054)
    return {
        "units": given["n"],
        "events": given["n"],
        "value": given["quantile_hat"],
        "value_variance": half * half,
    }


def comparison(vector: Vector, vectors: Vectors) -> Comparison:
    """The experiment of a vector."""
    name, settings, given = vector["id"], vector["settings"], vector["input"]
    if name == "asympcs_6868":
        # its standard error and units are those of this vector
        given = vectors["mean_abs_welch"]["input"]
    control, treatment = given["control"], given["treatment"]
    options: dict[str, Any] = {
        "alpha": settings.get("alpha", 0.05),
        "tuning_units": settings.get("n_star"),
        "inference": "sequential" if "n_star" in settings else "fixed",
    }
    if settings.get("sides") == "greater":
        options |= {"alpha": 2 * settings["alpha"], "role": "guardrail", "minimum_effect": 0.0}
    if vector["family"] == "proportion" or name in {"cuped_prop_rel", "seq_prop_rel_N5000"}:
        options["kind"] = "proportion"
    prior = settings.get("prior")
    if isinstance(prior, dict):
        options |= {"prior_mean": prior["mean"], "prior_std_dev": math.sqrt(prior["variance"])}
    if "quantile_hat" in control:
        quantiles = {"control": quantile_arm(control), "treatment": quantile_arm(treatment)}
        return Comparison(name, kind="quantile", quantiles=quantiles, **options)
    if isinstance(control, list):
        return Comparison(name, arm_of_rows(control), arm_of_rows(treatment), **options)
    arm = arm_of_means if "mean_orders" in control else plain_arm
    return Comparison(name, arm(control), arm(treatment), **options)


@pytest.fixture(scope="module")
def scorecard(vectors: Vectors) -> dict[tuple[str, str], Row]:
    """Every vector an experiment of one scorecard."""
    infeasible = [name for name, reason in OTHERS.items() if reason == INFEASIBLE]
    return judge(comparison(vectors[name], vectors) for name in [*SCORECARD, *infeasible])


def test_every_vector_is_compared_or_named_with_its_reason(vectors: Vectors) -> None:
    own = {name for name, vector in vectors.items() if vector["family"] not in ELSEWHERE}
    listed = [*SCORECARD, *OTHERS, *BELOW]
    assert len(listed) == len(set(listed))
    assert own == set(listed)
    assert {vector["family"] for vector in vectors.values()} >= set(ELSEWHERE)


def expected_numbers(vector: Vector) -> dict[str, Any]:
    """What a vector expects, `risk` by its two sides."""
    expected = dict(vector["expected"])
    if "risk" in expected:
        keeping, shipping = expected.pop("risk")
        expected |= {"risk.0": keeping, "risk.1": shipping}
    return expected


@pytest.mark.parametrize("name", SCORECARD)
def test_the_scorecard_meets_the_vector(
    name: str, vectors: Vectors, scorecard: dict[tuple[str, str], Row]
) -> None:
    vector = vectors[name]
    adjustment, columns, reasons = SCORECARD[name]
    expected = expected_numbers(vector)
    # every number of the vector is compared or has its reason
    assert set(expected) == {*columns, *reasons}
    assert not set(columns) & set(reasons)
    row = scorecard[name, adjustment]
    assert row["status"] == "ok"
    for number, column in columns.items():
        wanted = expected[number]
        if callable(column):
            assert_close(column(row), wanted, vector, number)
        elif isinstance(column, str):
            assert_close(row[column], wanted, vector, number)
        else:
            for each, bound in zip(column, wanted, strict=True):
                if each is not None:
                    assert_close(row[each], bound, vector, f"{number} {each}")


@pytest.mark.parametrize("name", [name for name, reason in OTHERS.items() if reason == INFEASIBLE])
def test_moments_that_no_data_have_are_refused(
    name: str, vectors: Vectors, scorecard: dict[tuple[str, str], Row]
) -> None:
    assert vectors[name]["feasible_moments"] is False
    judged = [row for (experiment, _), row in scorecard.items() if experiment == name]
    assert judged
    for row in judged:
        assert row["status"] == "infeasible_moments"
        assert row["absolute_std_error"] is None
        assert row["p_value"] is None


def test_every_infeasible_vector_is_refused(vectors: Vectors) -> None:
    infeasible = {name for name, vector in vectors.items() if not vector["feasible_moments"]}
    assert infeasible == {name for name, reason in OTHERS.items() if reason == INFEASIBLE}


@pytest.mark.parametrize("name", ["mtc_bh", "mtc_holm_bonferroni"])
def test_adjusted_p_values(name: str, vectors: Vectors) -> None:
    vector = vectors[name]
    tested = adjust(
        {
            "experiment_name": "one",
            "metric_name": f"metric {place}",
            "metric_role": "exploratory" if name == "mtc_bh" else "success",
            "inference": "fixed",
            "alpha": vector["settings"]["alpha"],
            "absolute_effect": 1.0,
            "p_value": p_value,
        }
        for place, p_value in enumerate(vector["input"]["p_values"])
    )
    method = "benjamini_hochberg" if name == "mtc_bh" else "holm"
    for row, wanted, reject in zip(
        tested, vector["expected"]["p_adj"], vector["expected"]["reject"], strict=True
    ):
        assert row["multiplicity_method"] == method
        assert_close(row["p_value_adjusted"], wanted, vector, row["metric_name"])
        assert (row["p_value_adjusted"] <= row["alpha"]) == bool(reject)


def test_e_values_by_benjamini_hochberg(vectors: Vectors) -> None:
    vector = vectors["e_bh"]
    tested = adjust(
        {
            "experiment_name": "one",
            "metric_name": f"metric {place}",
            "metric_role": "exploratory",
            "inference": "sequential",
            "alpha": vector["settings"]["alpha"],
            "log_e_value": math.log(e_value),
            "mixture": 1.0,
        }
        for place, e_value in enumerate(vector["input"]["e_values"])
    )
    assert {row["multiplicity_method"] for row in tested} == {"e_bh"}
    rejected = [int(row["p_value_adjusted"] <= row["alpha"]) for row in tested]
    assert rejected == vector["expected"]["reject"]


def test_e_values_of_the_programme_by_benjamini_hochberg(vectors: Vectors) -> None:
    vector = vectors["e_bh"]
    given = vector["input"]["e_values"]
    columns = {
        **dict.fromkeys(("experiment_name", "metric_name", "treatment_variant"), "varchar"),
        **dict.fromkeys(("adjustment", "family", "inference", "status"), "varchar"),
        **dict.fromkeys(("is_final", "is_deciding"), "boolean"),
        **dict.fromkeys(("p_value", "log_e_value"), "double"),
    }
    names = [f"experiment {place}" for place in range(len(given))]
    with duckdb.connect() as connection:
        declare_states(
            connection, [{"experiment_name": name, "is_complete": False} for name in names]
        )
        fill(
            connection,
            "int_experiment_adjusted",
            columns,
            [
                {
                    "experiment_name": name,
                    "metric_name": "one",
                    "treatment_variant": "treatment",
                    "adjustment": "none",
                    "family": "success",
                    "inference": "sequential",
                    "status": "ok",
                    "is_final": True,
                    "is_deciding": True,
                    "log_e_value": math.log(e_value),
                }
                for name, e_value in zip(names, given, strict=True)
            ],
        )
        build(connection, "int_experiment_programme")
        found = {
            row["experiment_name"]: row
            for row in rows(connection, "select * from int_experiment_programme")
        }
    alpha = vector["settings"]["alpha"]
    rejected = [int(found[name]["programme_p_value_adjusted"] <= alpha) for name in names]
    assert rejected == vector["expected"]["reject"]
    assert {row["programme_method"] for row in found.values()} == {"e_bh"}


def test_group_sequential_bounds(vectors: Vectors) -> None:
    vector = vectors["bounds_gst_4"]
    looks = list(
        zip(vector["input"]["information_fractions"], vector["expected"]["z_bounds"], strict=True)
    )
    # alpha is spent as the square of the information
    for place, (information, wanted) in enumerate(looks):
        due = vector["settings"]["alpha"] * information**2

        def excess(
            bound: float, looked: list[tuple[float, float]], now: float, due: float
        ) -> float:
            return spent([*looked, (now, bound)]) - due

        bound = brentq(excess, 1, 5, args=(looks[:place], information, due))
        assert_close(bound, wanted, vector, f"bound of look {place + 1}")


def test_interval_at_the_first_look(vectors: Vectors) -> None:
    vector = vectors["gst_two_sided_first_look"]
    given, expected = vector["input"], vector["expected"]
    control, treatment = (plain_arm(given[side]) for side in ("control", "treatment"))
    (row,) = judge([Comparison("one", control, treatment)]).values()
    assert_close(row["absolute_effect"], expected["difference"], vector, "difference")
    units = given["control"]["n"] + given["treatment"]["n"]
    information = units / given["final_expected_sample_size"]
    alpha = 1 - vector["settings"]["interval_size"]
    bound = float(norm.isf(alpha * information**2 / 2))
    for end, sign in zip(expected["ci"], (-1, 1), strict=True):
        found = row["absolute_effect"] + sign * bound * row["absolute_std_error"]
        assert_close(found, end, vector, "interval")


def fieller(vector: Vector) -> Row:
    """The interval macro at a normal quantile, on the moments of a vector."""
    arms = {}
    for side in ("control", "treatment"):
        given = vector["input"][side]
        units, mean = given["n"], given["sum"] / given["n"]
        variance = (given["sum_squares"] - given["sum"] * mean) / (units - 1) / units
        arms[side] = mean, variance
    (baseline, baseline_variance), (treated, treated_variance) = arms["control"], arms["treatment"]
    with duckdb.connect() as connection:
        fill(
            connection,
            "inputs",
            dict.fromkeys(("effect", "variance", "baseline", "baseline_variance"), "double"),
            [
                {
                    "effect": treated - baseline,
                    "variance": baseline_variance + treated_variance,
                    "baseline": baseline,
                    "baseline_variance": baseline_variance,
                }
            ],
        )
        (row,) = rows(
            connection,
            render(
                "with {{ fieller_interval('inputs', 'effect', 'variance', 'baseline', "
                "'baseline_variance', '-baseline_variance', '1.959963984540054e0', "
                "output='relative', name='outputs') }} select * from outputs"
            ),
        )
    return row | {"estimate": (treated - baseline) / abs(baseline)}


def test_fieller_interval(vectors: Vectors) -> None:
    vector = vectors["fieller_rel_mean"]
    row, expected = fieller(vector), vector["expected"]
    assert_close(row["relative_g"], expected["g"], vector, "g")
    assert_close(row["estimate"], expected["estimate"], vector, "estimate")
    for column, bound in zip(("relative_lower", "relative_upper"), expected["ci"], strict=True):
        assert_close(row[column], bound, vector, column)


def test_unbounded_fieller_interval_is_no_interval(vectors: Vectors) -> None:
    vector = vectors["fieller_unbounded"]
    row = fieller(vector)
    assert_close(row["relative_g"], vector["expected"]["g"], vector, "g")
    assert vector["expected"]["unbounded"]
    assert (row["relative_lower"], row["relative_upper"]) == (None, None)


def test_order_statistics_around_a_quantile(vectors: Vectors) -> None:
    vector = vectors["quantile_order_ci"]
    count, quantile = vector["input"]["n"], vector["input"]["quantile"]
    names = {"experiment_name": "one", "metric_name": "value", "kind": "quantile"}
    with duckdb.connect() as connection:
        fill(
            connection,
            "int_experiment_windows",
            NAMES
            | dict.fromkeys(("unit", "unit_id"), "varchar")
            | {
                "is_mature": "boolean",
                "has_window": "boolean",
                "entered_on": "date",
                "quantile": "double",
                "window_start": "timestamp",
                "window_end": "timestamp",
            },
            [],
        )
        connection.execute(
            "insert into int_experiment_windows by name select 'one' as experiment_name, "
            "'value' as metric_name, 'quantile' as kind, 'control' as variant, 'user' as unit, "
            "i::varchar as unit_id, true as is_mature, false as has_window, $quantile as quantile, "
            "timestamp '2026-01-01' as window_start, timestamp '2026-02-01' as window_end "
            "from range(1, $count + 1) as units (i)",
            {"quantile": quantile, "count": count},
        )
        connection.execute(
            "create table int_experiment_unit_events as select 'user' as unit, unit_id, "
            "metric_name, timestamp '2026-01-02' as occurred_at, unit_id::double as numerator "
            "from int_experiment_windows"
        )
        connection.execute(
            "create table int_experiment_unit_segments as select experiment_name, unit_id, "
            "'all' as segment_name, 'all' as segment_value from int_experiment_windows"
        )
        build(connection, "int_experiment_quantiles")
        (row,) = rows(connection, "select * from int_experiment_quantiles where is_final")
    expected = vector["expected"]
    assert {name: row[name] for name in names} == names
    # values are their ranks
    assert [row["lower_value"], row["upper_value"]] == expected["ci"]
    assert [row["lower_value"], row["upper_value"]] == [
        expected["lower_rank"],
        expected["upper_rank"],
    ]
    assert_close(math.sqrt(row["value_variance"]), expected["sigma"], vector, "sigma")


def test_both_parts_of_a_ratio_are_capped_over_the_same_population(vectors: Vectors) -> None:
    vector = vectors["ratio_cap_population"]
    with duckdb.connect() as connection:
        fill(
            connection,
            "int_metrics_declared",
            {"metric_name": "varchar", "cap_quantile": "double"},
            [{"metric_name": "one", "cap_quantile": vector["settings"]["cap_percentile"]}],
        )
        users = [user for group in vector["input"]["users"] for user in [group] * group["n"]]
        fill(
            connection,
            "int_experiment_unit_days",
            NAMES
            | {
                "unit_id": "varchar",
                "as_of_date": "date",
                "is_latest": "boolean",
                "numerator": "double",
                "denominator": "double",
            },
            [
                {
                    "experiment_name": "one",
                    "metric_name": "one",
                    "kind": "ratio",
                    "variant": "control",
                    "unit_id": str(place),
                    "is_latest": True,
                    "numerator": user["revenue"],
                    "denominator": user["orders"],
                }
                for place, user in enumerate(users)
            ],
        )
        fill(
            connection,
            "int_experiment_covariates",
            NAMES
            | {
                "unit_id": "varchar",
                "numerator": "double",
                "denominator": "double",
                "has_history": "boolean",
            },
            [],
        )
        put_arms(connection)
        build(connection, "int_experiment_caps", "int_experiment_unit_values")
        (row,) = rows(
            connection,
            "select sum(raw_numerator) / sum(raw_denominator) as ratio "
            "from int_experiment_unit_values",
        )
    assert_close(row["ratio"], vector["expected"]["uncapped_ratio"], vector, "ratio")


def declare_states(connection: duckdb.DuckDBPyConnection, states: Iterable[Row]) -> None:
    """Fill int_experiment_states; experiments are complete and sound unless they say otherwise."""
    fill(
        connection,
        "int_experiment_states",
        {"experiment_name": "varchar", "is_complete": "boolean", "has_failed_check": "boolean"},
        [{"is_complete": True, "has_failed_check": False} | state for state in states],
    )


def interactions(
    cells: Mapping[tuple[str, str], tuple[int, float, float]], *, is_complete: bool = True
) -> Row:
    """Screen one pair of experiments: (own variant, other variant) -> units, mean, variance."""
    with duckdb.connect() as connection:
        declare(connection, [Comparison("one")])
        declare_states(connection, [{"experiment_name": "one", "is_complete": is_complete}])
        parts = ("numerator", "denominator")
        fill(
            connection,
            "int_experiment_pair_moments",
            dict.fromkeys(
                ("experiment_name", "metric_name", "variant", "other_experiment_name"), "varchar"
            )
            | dict.fromkeys(("other_variant", "other_control_variant"), "varchar")
            | {"units": "bigint"}
            | {f"{part}_{what}": "double" for part in parts for what in ("total", "sum")}
            | dict.fromkeys(
                (
                    "numerator_numerator_sum",
                    "numerator_denominator_sum",
                    "denominator_denominator_sum",
                ),
                "double",
            ),
            [
                {
                    "experiment_name": "one",
                    "metric_name": "one",
                    "variant": variant,
                    "other_experiment_name": "two",
                    "other_variant": other,
                    "other_control_variant": "control",
                    "units": units,
                    "numerator_total": units * mean,
                    "numerator_sum": 0.0,
                    "denominator_total": float(units),
                    "denominator_sum": 0.0,
                    "numerator_numerator_sum": variance * (units - 1),
                    "numerator_denominator_sum": 0.0,
                    "denominator_denominator_sum": 0.0,
                }
                for (variant, other), (units, mean, variance) in cells.items()
            ],
        )
        build(connection, "rpt_experiment_interactions")
        (row,) = rows(connection, "select * from rpt_experiment_interactions")
    return row


def test_interaction_of_two_experiments(vectors: Vectors) -> None:
    vector = vectors["interaction_2x2"]
    arms = {"t": "treatment", "c": "control"}
    row = interactions(
        {
            (arms[name[0]], arms[name[1]]): (cell["n"], cell["mean"], cell["var"])
            for name, cell in vector["input"]["cells"].items()
        }
    )
    for number, column in (
        ("estimate", "interaction_effect"),
        ("se", "std_error"),
        ("p_value", "p_value"),
    ):
        assert_close(row[column], vector["expected"][number], vector, number)


@pytest.mark.parametrize("is_complete", [True, False])
def test_an_interaction_is_called_once_the_experiment_is_complete(is_complete: bool) -> None:
    arms = ("control", "treatment")
    row = interactions(
        {(own, other): (100, 9.0 * (own == other), 1.0) for own in arms for other in arms},
        is_complete=is_complete,
    )
    assert row["p_value_adjusted"] < 1e-9
    assert row["is_interaction"] is is_complete


@pytest.mark.parametrize(("units", "status"), [(1, "one_unit"), (24, "too_few_units"), (25, "ok")])
def test_an_interaction_is_tested_where_every_cell_has_units_enough(
    units: int, status: str
) -> None:
    arms = ("control", "treatment")
    cells = {(own, other): (100, 9.0 * (own == other), 1.0) for own in arms for other in arms}
    row = interactions(cells | {("treatment", "control"): (units, 0.0, 1.0)})
    assert row["status"] == status
    assert (row["p_value"] is not None) == (row["is_interaction"] is not None) == (status == "ok")


def test_dependence_of_assignments(vectors: Vectors) -> None:
    vector = vectors["assignment_dependence"]
    variants = ("control", "treatment")
    row = interactions(
        {
            (own, other): (units, 0.0, 1.0)
            for own, line in zip(variants, vector["input"]["table"], strict=True)
            for other, units in zip(variants, line, strict=True)
        }
    )
    assert_close(row["dependence_statistic"], vector["expected"]["chi2"], vector, "chi2")
    # beyond the smallest double, where the vector's 0 is no floor
    assert row["dependence_p_value"] == vector["expected"]["p_value"]


def shrunk(effects: Sequence[tuple[float, float]], broken: Iterable[int] = ()) -> list[Row]:
    """Pool effects with their variances, of an experiment each; those that are broken fail a check."""
    columns = dict.fromkeys(
        ("experiment_name", "metric_name", "treatment_variant", "adjustment", "segment_name"),
        "varchar",
    ) | {"status": "varchar", "better": "varchar", "is_final": "boolean"}
    numbers = (
        "baseline",
        "baseline_covariance",
        "baseline_variance",
        "relative_effect",
        "effect_variance",
        "control_units",
        "treatment_units",
    )
    failed = set(broken)
    with duckdb.connect() as connection:
        declare_states(
            connection,
            [
                {"experiment_name": str(place), "has_failed_check": place in failed}
                for place in range(len(effects))
            ],
        )
        fill(
            connection,
            "int_experiment_adjusted",
            columns | dict.fromkeys(numbers, "double"),
            [
                {
                    "experiment_name": str(place),
                    "metric_name": "one",
                    "treatment_variant": "treatment",
                    "adjustment": "none",
                    "segment_name": "all",
                    "status": "ok",
                    "better": "up",
                    "is_final": True,
                    "baseline": 1.0,
                    "baseline_covariance": 0.0,
                    "baseline_variance": 0.0,
                    "relative_effect": effect,
                    "effect_variance": variance,
                    "control_units": 100,
                    "treatment_units": 100,
                }
                for place, (effect, variance) in enumerate(effects)
            ],
        )
        build(connection, "rpt_experiment_shrinkage")
        return rows(connection, "select * from rpt_experiment_shrinkage order by experiment_name")


def test_what_cannot_be_trusted_is_not_pooled() -> None:
    effects = [(0.1, 0.01), (0.2, 0.01), (0.3, 0.02)]
    assert shrunk([*effects, (9.0, 0.01)], broken=[3]) == shrunk(effects)


def test_shrinkage_after_dersimonian_and_laird(vectors: Vectors) -> None:
    vector = vectors["empirical_bayes_dl"]
    given = vector["input"]
    found = shrunk(list(zip(given["effects"], given["variances"], strict=True)))
    expected = vector["expected"]
    for row, wanted in zip(found, expected["posterior_means"], strict=True):
        assert_close(row["cochran_q"], expected["Q"], vector, "Q")
        assert_close(row["between_variance"], expected["tau2"], vector, "tau2")
        assert_close(row["pool_mean"], expected["mu"], vector, "mu")
        assert_close(row["shrunk_relative_effect"], wanted, vector, "posterior mean")
