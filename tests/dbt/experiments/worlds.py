"""Scorecards of made-up units and of what they did, through the models from windows to results."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.false_positives import TO_MOMENTS
from tests.dbt.experiments.model_sql import Row, build, fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

# UTC without zone, as in the warehouse
STARTED_AT = datetime.fromisoformat("2026-03-02")
AS_OF = datetime.fromisoformat("2026-04-10")

TEXT = "varchar"
MODELS = (
    "int_experiment_unit_segments",
    *TO_MOMENTS,
    "int_experiment_quantiles",
    "int_experiment_comparisons",
    "int_experiment_stratified",
    "int_experiment_estimates",
    "int_experiment_tests",
    "int_experiment_adjusted",
    "int_experiment_left_out_daily",
    "rpt_experiment_results",
    "rpt_experiment_results_daily",
)


@dataclass(slots=True)
class World:
    """One experiment `e` of users, control `c` and treatment `t`, started with all its units.

    units: unit_id -> (variant, segment -> value). events: (metric, unit_id, when, numerator,
    denominator). metrics: name -> what the metric YAML says of it, and its `role`. set_apart: unit_id ->
    role. analysed_from: unit_id -> its trigger, if that is not its exposure. late_events: date -> events
    of control that came late. as_of: the instant that the build speaks of.
    """

    units: Mapping[str, tuple[str, Mapping[str, str]]]
    metrics: Mapping[str, Mapping[str, Any]]
    events: Sequence[tuple[str, str, datetime, float, float]]
    experiment: Mapping[str, Any] = field(default_factory=dict)
    tuning_units: float | None = None
    set_apart: Mapping[str, str] = field(default_factory=dict)
    analysed_from: Mapping[str, datetime | None] = field(default_factory=dict)
    late_events: Mapping[date, int] = field(default_factory=dict)
    as_of: datetime = AS_OF

    def put(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Fill the tables that the models read."""
        self._declare(connection)
        fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": self.as_of}])
        fill(
            connection,
            "int_experiment_units",
            dict.fromkeys(("experiment_name", "unit_id", "variant", "role", "first_event_id"), TEXT)
            | {"first_exposed_at": "timestamp", "analysed_from": "timestamp"},
            [
                {"experiment_name": "e", "unit_id": unit_id, "variant": variant}
                | {"role": self.set_apart.get(unit_id, "analysed"), "first_exposed_at": STARTED_AT}
                | {"first_event_id": f"first of {unit_id}"}
                | {"analysed_from": self.analysed_from.get(unit_id, STARTED_AT)}
                for unit_id, (variant, _) in self.units.items()
            ],
        )
        fill(
            connection,
            "int_experiment_arrivals",
            {"experiment_name": TEXT, "variant": TEXT, "event_date": "date"}
            | {"late_events": "bigint"},
            [
                {"experiment_name": "e", "variant": "c", "event_date": day, "late_events": count}
                for day, count in self.late_events.items()
            ],
        )
        segments = {name for _, carried in self.units.values() for name in carried}
        fill(
            connection,
            "stg_declarations__segments",
            {"segment_name": TEXT, "source_attribute": TEXT},
            [{"segment_name": name, "source_attribute": f"user.{name}"} for name in segments],
        )
        # an exposure without attributes has not been delivered
        fill(
            connection,
            "carried",
            {"event_id": TEXT, "keys": "varchar[]", "texts": "varchar[]"},
            [
                {"event_id": f"first of {unit_id}", "texts": list(carried.values())}
                | {"keys": [f"user.{name}" for name in carried]}
                for unit_id, (_, carried) in self.units.items()
                if carried
            ],
        )
        connection.execute(
            "create or replace table int_exposures_resolved as "
            "select event_id, map(keys, texts) as attributes from carried"
        )
        fill(
            connection,
            "int_experiment_unit_events",
            {"unit": TEXT, "metric_name": TEXT, "unit_id": TEXT, "occurred_at": "timestamp"}
            | {"numerator": "double", "denominator": "double"},
            [
                {"unit": "user", "metric_name": metric, "unit_id": unit_id, "occurred_at": at}
                | {"numerator": numerator, "denominator": denominator}
                for metric, unit_id, at, numerator, denominator in self.events
            ],
        )

    def _declare(self, connection: duckdb.DuckDBPyConnection) -> None:
        fill(
            connection,
            "stg_declarations__experiments",
            dict.fromkeys(
                ("experiment_name", "unit", "control_variant", "inference", "stratify_by"), TEXT
            )
            | {"alpha": "double", "started_at": "timestamp", "ended_at": "timestamp"},
            [
                {"experiment_name": "e", "unit": "user", "control_variant": "c", "alpha": 0.05}
                | {"inference": "fixed", "started_at": STARTED_AT}
                | dict(self.experiment)
            ],
        )
        fill(
            connection,
            "stg_declarations__experiment_variants",
            {"experiment_name": TEXT, "variant": TEXT},
            [{"experiment_name": "e", "variant": variant} for variant in ("c", "t")],
        )
        fill(
            connection,
            "stg_declarations__experiment_metrics",
            {"experiment_name": TEXT, "metric_name": TEXT, "role": TEXT}
            | dict.fromkeys(("minimum_effect", "prior_mean", "prior_std_dev"), "double"),
            [
                {"experiment_name": "e", "metric_name": name, "role": said.get("role", "success")}
                for name, said in self.metrics.items()
            ],
        )
        options = ("window_days", "delay_days", "covariate_days", "cap_quantile", "quantile")
        fill(
            connection,
            "int_metrics_declared",
            {"metric_name": TEXT, "kind": TEXT, "better": TEXT} | dict.fromkeys(options, "double"),
            [
                {"metric_name": name, "better": "up", "delay_days": 0.0}
                | {key: value for key, value in said.items() if key != "role"}
                for name, said in self.metrics.items()
            ],
        )
        fill(connection, "int_experiment_funnels", self._keys("completed_at", unit_id=TEXT), [])
        fill(
            connection,
            "int_experiment_tuning",
            {"experiment_name": TEXT, "treatment_variant": TEXT, "tuning_units": "double"},
            [
                {
                    "experiment_name": "e",
                    "treatment_variant": "t",
                    "tuning_units": self.tuning_units,
                }
            ],
        )
        fill(
            connection,
            "int_experiment_states",
            {"experiment_name": TEXT, "is_complete": "boolean"},
            [{"experiment_name": "e", "is_complete": "ended_at" in self.experiment}],
        )
        keys = self._keys(treatment_variant=TEXT, adjustment=TEXT)
        fill(
            connection,
            "rpt_experiment_looks",
            keys
            | {"is_latest": "boolean", "look": "bigint", "is_crossed": "boolean"}
            | {"repeated_ci_lower": "double", "repeated_ci_upper": "double"}
            | {"repeated_missing_reason": TEXT},
            [],
        )
        fill(
            connection,
            "int_experiment_programme",
            keys | {"programme_p_value_adjusted": "double", "programme_method": TEXT},
            [],
        )

    @staticmethod
    def _keys(*times: str, **columns: str) -> dict[str, str]:
        return {
            "experiment_name": TEXT,
            "metric_name": TEXT,
            **dict.fromkeys(times, "timestamp"),
            **columns,
        }

    def build(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Fill the tables and build every model up to the results."""
        self.put(connection)
        build(connection, *MODELS)


def results(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str, str, str], Row]:
    """(metric, segment, its value, adjustment) -> row of the scorecard."""
    result = connection.execute("from rpt_experiment_results")
    columns = [column[0] for column in result.description or ()]
    found = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
    keys = ("metric_name", "segment_name", "segment_value", "adjustment")
    rows_of = {(*(row[key] for key in keys),): row for row in found}
    assert len(rows_of) == len(found)
    return rows_of
