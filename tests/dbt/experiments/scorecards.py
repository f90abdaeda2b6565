"""Scorecards of hand-made moments, through the models."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import duckdb

from tests.dbt.experiments.model_sql import Row, build, fill, render, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PARTS = ("numerator", "denominator", "covariate_numerator", "covariate_denominator")
PRODUCTS = tuple(combinations_with_replacement(PARTS, 2))
NAMES = dict.fromkeys(
    ("experiment_name", "metric_name", "kind", "variant", "segment_name", "segment_value"),
    "varchar",
)
MOMENTS = {
    **NAMES,
    "units": "bigint",
    "units_without_history": "bigint",
    **{f"{part}_{what}": "double" for part in PARTS for what in ("total", "sum")},
    **{f"{part}_{other}_sum": "double" for part, other in PRODUCTS},
}


@dataclass(frozen=True, slots=True)
class Arm:
    """Plain sums of one arm: totals of the parts, and of their products by pairs.

    Parts that are not given are 1 for every unit (denominators) or missing (covariates).
    """

    units: int
    totals: Mapping[str, float]
    products: Mapping[tuple[str, str], float]

    def moments(self) -> Row:
        """The row of int_experiment_moments, without its names; shifts are 0, of ones 1."""
        row: Row = {"units": self.units, "units_without_history": 0}
        covered = set(self.totals)
        ones = {"denominator"} - covered
        if "covariate_numerator" in covered:
            ones |= {"covariate_denominator"} - covered
        for part in PARTS:
            if part in covered:
                row |= {f"{part}_total": self.totals[part], f"{part}_sum": self.totals[part]}
            elif part in ones:
                row |= {f"{part}_total": float(self.units), f"{part}_sum": 0.0}
        for part, other in PRODUCTS:
            if part in ones or other in ones:
                if {part, other} <= covered | ones:
                    row[f"{part}_{other}_sum"] = 0.0
            elif {part, other} <= covered:
                row[f"{part}_{other}_sum"] = self.products[part, other]
        return row


@dataclass(frozen=True, slots=True)
class Comparison:
    """One experiment with one metric and two arms, and what is declared of it."""

    name: str
    control: Arm | None = None
    treatment: Arm | None = None
    kind: str = "mean"
    alpha: float = 0.05
    inference: str = "fixed"
    role: str = "success"
    better: str = "up"
    minimum_effect: float | None = None
    prior_mean: float | None = None
    prior_std_dev: float | None = None
    tuning_units: float | None = None
    quantiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def put_arms(connection: duckdb.DuckDBPyConnection) -> None:
    """Declare the arms that int_experiment_unit_days has."""
    connection.execute(
        "create table int_experiment_arms as "
        "select distinct concat(experiment_name, '|', metric_name, '|', variant) as arm_key, "
        "experiment_name, metric_name, kind, variant from int_experiment_unit_days"
    )


def declare(connection: duckdb.DuckDBPyConnection, comparisons: Iterable[Comparison]) -> None:
    """Fill the tables of declarations; the metric of an experiment has its name."""
    given = list(comparisons)
    fill(
        connection,
        "stg_declarations__experiments",
        {
            "experiment_name": "varchar",
            "control_variant": "varchar",
            "inference": "varchar",
            "alpha": "double",
            "power": "double",
            "stratify_by": "varchar",
            "ended_at": "timestamp",
            "planned_units": "bigint",
            "holdout_share": "double",
        },
        [
            {
                "experiment_name": each.name,
                "control_variant": "control",
                "inference": each.inference,
                "alpha": each.alpha,
            }
            for each in given
        ],
    )
    fill(
        connection,
        "stg_declarations__experiment_metrics",
        {
            "experiment_name": "varchar",
            "metric_name": "varchar",
            "role": "varchar",
            "minimum_effect": "double",
            "prior_mean": "double",
            "prior_std_dev": "double",
        },
        [
            {
                "experiment_name": each.name,
                "metric_name": each.name,
                "role": each.role,
                "minimum_effect": each.minimum_effect,
                "prior_mean": each.prior_mean,
                "prior_std_dev": each.prior_std_dev,
            }
            for each in given
        ],
    )
    declare_variants(
        connection, {(each.name, variant) for each in given for variant in ("control", "treatment")}
    )
    fill(
        connection,
        "int_metrics_declared",
        {"metric_name": "varchar", "kind": "varchar", "better": "varchar"},
        [{"metric_name": each.name, "kind": each.kind, "better": each.better} for each in given],
    )
    fill(
        connection,
        "int_experiment_tuning",
        {"experiment_name": "varchar", "treatment_variant": "varchar", "tuning_units": "double"},
        [
            {
                "experiment_name": each.name,
                "treatment_variant": "treatment",
                "tuning_units": each.tuning_units,
            }
            for each in given
        ],
    )
    fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": datetime(2026, 3, 1)}])  # noqa: DTZ001 - UTC without zone, as in the warehouse


def declare_variants(
    connection: duckdb.DuckDBPyConnection, variants: Iterable[tuple[str, str]]
) -> None:
    """Fill the variants of experiments."""
    fill(
        connection,
        "stg_declarations__experiment_variants",
        dict.fromkeys(("experiment_name", "variant"), "varchar"),
        [{"experiment_name": name, "variant": variant} for name, variant in sorted(variants)],
    )


def judge(comparisons: Iterable[Comparison]) -> dict[tuple[str, str], Row]:
    """Run moments through estimates, tests and adjustment: (experiment, adjustment) -> row."""
    given = list(comparisons)
    with duckdb.connect() as connection:
        declare(connection, given)
        everything = {"segment_name": "all", "segment_value": "all"}
        moments = [
            {
                "experiment_name": each.name,
                "metric_name": each.name,
                "kind": each.kind,
                "variant": variant,
                **everything,
                **arm.moments(),
            }
            for each in given
            for variant, arm in (("control", each.control), ("treatment", each.treatment))
            if arm
        ]
        fill(connection, "int_experiment_moments", MOMENTS, moments)
        fill(connection, "int_experiment_moments_daily", MOMENTS | {"as_of_date": "date"}, [])
        fill(
            connection,
            "int_experiment_quantiles",
            NAMES
            | {
                "as_of_date": "date",
                "is_final": "boolean",
                "units": "bigint",
                "events": "bigint",
                "value": "double",
                "lower_value": "double",
                "upper_value": "double",
                "has_tied_values": "boolean",
                "value_variance": "double",
            },
            [
                {
                    "experiment_name": each.name,
                    "metric_name": each.name,
                    "kind": each.kind,
                    "variant": variant,
                    "is_final": True,
                    **everything,
                    **arm,
                }
                for each in given
                for variant, arm in each.quantiles.items()
            ],
        )
        build(
            connection,
            "int_experiment_comparisons",
            "int_experiment_stratified",
            "int_experiment_estimates",
            "int_experiment_tests",
            "int_experiment_adjusted",
        )
        said = render(
            "{{ experiment_result_columns("
            "'int_experiment_adjusted', var('sequential_units_minimum')) }}"
        )
        return {
            (row["experiment_name"], row["adjustment"]): row
            for row in rows(
                connection,
                "select adjusted.*, said.sequential_missing_reason "
                "from int_experiment_adjusted as adjusted inner join "
                f"(select experiment_name, adjustment, {said} from int_experiment_adjusted) as said "
                "using (experiment_name, adjustment)",
            )
        }


def adjust(tests: Iterable[Row], without_data: Iterable[Row] = ()) -> list[Row]:
    """Run tests through the adjustment, of one final look unless they say otherwise; in their order.

    Declared are the metrics and treatments that are tested, and metrics without data beside them:
    experiment_name, metric_name, role.
    """
    columns = {
        **dict.fromkeys(
            ("experiment_name", "metric_name", "metric_role", "treatment_variant", "inference"),
            "varchar",
        ),
        **dict.fromkeys(("segment_name", "segment_value", "adjustment", "status"), "varchar"),
        "better": "varchar",
        "as_of_date": "date",
        "is_final": "boolean",
        **dict.fromkeys(
            ("alpha", "p_value", "log_e_value", "mixture", "degrees_of_freedom"), "double"
        ),
        **dict.fromkeys(("absolute_effect", "absolute_std_error"), "double"),
        "place": "bigint",
    }
    defaults = {
        "segment_name": "all",
        "segment_value": "all",
        "adjustment": "none",
        "status": "ok",
        "better": "up",
        "treatment_variant": "treatment",
        "as_of_date": date(2026, 3, 1),
        "is_final": True,
        "alpha": 0.05,
        "absolute_effect": 0.0,
        "absolute_std_error": 1.0,
        "degrees_of_freedom": 1e6,
    }
    given: list[Row] = [defaults | test | {"place": place} for place, test in enumerate(tests)]
    metrics = {(row["experiment_name"], row["metric_name"], row["metric_role"]) for row in given}
    names = ("experiment_name", "metric_name", "role")
    with duckdb.connect() as connection:
        fill(connection, "int_experiment_tests", columns, given)
        fill(
            connection,
            "stg_declarations__experiment_metrics",
            dict.fromkeys(names, "varchar"),
            [*(dict(zip(names, each, strict=True)) for each in sorted(metrics)), *without_data],
        )
        declare_variants(
            connection,
            {(row["experiment_name"], row["treatment_variant"]) for row in given}
            | {(row["experiment_name"], "control") for row in given},
        )
        build(connection, "int_experiment_adjusted")
        return rows(connection, "select * from int_experiment_adjusted order by place")
