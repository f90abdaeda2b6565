"""The models of preferences on signals that a test makes, without dbt and without telemetry."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from tests.dbt.experiments.model_sql import (
    build,
    build_incrementally,
    fill,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FIRST_DAY = date(2026, 3, 2)
START = datetime.combine(FIRST_DAY, datetime.min.time())
DAY = 86400.0
SIGNAL_COLUMNS = {
    "event_id": "varchar",
    "event_date": "date",
    "user_part": "varchar",
    "loaded_date": "date",
    "occurred_at": "timestamp",
    "user_id": "varchar",
    "signal_name": "varchar",
    "dimension": "varchar",
    "value": "varchar",
    "outcome": "double",
    "weight": "double",
    "context": "varchar",
}
SCORES = (
    "int_preference_partials_daily",
    "int_preference_cuts",
    "int_preference_resets",
    "int_preference_population",
    "int_preference_users",
    "int_preference_declared_segments",
    "int_preference_cut_versions",
    "int_preference_evidence",
    "int_preference_priors",
    "int_preference_tastes",
    "int_preference_user_segments",
    "int_preference_segment_counts",
    "int_preference_segment_priors",
    "int_preference_user_groups",
    "int_preference_outcomes",
    "int_preference_half_lives",
    "int_preference_user_versions",
    "int_preference_posteriors",
    "fct_preference_scores",
)
QUALITY = (
    "int_preference_candidates",
    "int_preference_predictions",
    "int_preference_user_metrics",
    "int_preference_coverage",
    "int_preference_prequential",
    "int_preference_comparisons",
    "rpt_preference_quality",
)


@dataclass(frozen=True)
class Signals:
    """Signals as columns; times are seconds after the start of the first day."""

    user: NDArray[np.int64]
    value: NDArray[np.int64]
    seconds: NDArray[np.float64]
    outcome: NDArray[np.float64]
    context: NDArray[np.int64] | None = None
    loaded_day: NDArray[np.int64] | None = None

    def table(self) -> pa.Table:
        """The columns of int_preference_signals; a signal is loaded the day after it happened."""
        moments = [START + timedelta(seconds=float(second)) for second in self.seconds]
        days = (self.seconds // DAY).astype(int)
        loaded = days + 1 if self.loaded_day is None else self.loaded_day
        count = len(self.user)
        contexts = np.full(count, -1) if self.context is None else self.context
        return pa.table(
            {
                "event_id": [f"e{number}" for number in range(count)],
                "event_date": [moment.date() for moment in moments],
                "loaded_date": [FIRST_DAY + timedelta(days=int(day)) for day in loaded],
                "occurred_at": moments,
                "user_id": [f"u{user}" for user in self.user],
                "signal_name": ["signal"] * count,
                "dimension": ["taste"] * count,
                "value": [f"v{value}" for value in self.value],
                "outcome": self.outcome,
                "weight": np.ones(count),
                "context": ["all" if c < 0 else f"place=c{c}" for c in contexts],
            }
        )


@dataclass
class PreferenceWorld:
    """A connection whose tables stand for what the models of preferences read.

    Attributes:
        as_of: Instant of the build.
        half_life_days: Declared half-life; None for none.
        values: Number of values of the one dimension, `taste`.
    """

    as_of: datetime
    half_life_days: float | None = None
    values: int = 2
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def put(self, signals: pa.Table, resets: Sequence[dict[str, Any]] = ()) -> None:
        """Fill the tables; every user consents."""
        connection = self.connection
        columns = ", ".join(f"{name} {kind}" for name, kind in SIGNAL_COLUMNS.items())
        connection.execute(f"create or replace table int_preference_signals ({columns})")
        connection.register("given", signals)
        connection.execute("insert into int_preference_signals by name select * from given")
        connection.execute(
            "update int_preference_signals set user_part = concat(event_date, '/', user_id)"
        )
        connection.execute(
            "create or replace table int_users_personalizable as "
            "select distinct user_id from int_preference_signals"
        )
        connection.execute(
            "create or replace table dim_users as "
            "select user_id, false as is_excluded from int_users_personalizable"
        )
        connection.unregister("given")
        fill(
            connection,
            "stg_declarations__preference_dimensions",
            {
                "dimension": "varchar",
                "default_value": "varchar",
                "half_life_days": "double",
                "serve_threshold": "double",
            },
            [
                {
                    "dimension": "taste",
                    "default_value": "v0",
                    "half_life_days": self.half_life_days,
                    "serve_threshold": 0.0,
                }
            ],
        )
        fill(
            connection,
            "stg_declarations__preference_values",
            {"dimension": "varchar", "value": "varchar"},
            [{"dimension": "taste", "value": f"v{value}"} for value in range(self.values)],
        )
        fill(connection, "int_as_of", {"as_of": "timestamp"}, [{"as_of": self.as_of}])
        fill(
            connection,
            "int_preference_controls",
            {
                "event_id": "varchar",
                "user_id": "varchar",
                "dimension": "varchar",
                "context": "varchar",
                "value": "varchar",
                "occurred_at": "timestamp",
                "event_date": "date",
                "loaded_date": "date",
                "is_reset": "boolean",
            },
            resets,
        )
        fill(
            connection,
            "stg_declarations__consent_purposes",
            {"purpose": "varchar", "granted_by_default": "boolean"},
            [{"purpose": "personalization", "granted_by_default": True}],
        )
        fill(
            connection,
            "int_declaration_versions",
            {"declaration": "varchar", "version": "varchar"},
            [
                {"declaration": declaration, "version": "as declared"}
                for declaration in ("preference_dimensions", "preference_values")
            ],
        )
        nothing = {
            "int_consents_effective": "user_id varchar, purpose varchar, is_granted boolean, "
            "valid_from timestamp, valid_to timestamp",
            "int_user_segment_days": "user_id varchar, event_date date, loaded_date date, "
            "has_personalization_consent boolean, segment_name varchar, event_order varchar, "
            "segment_value varchar",
        }
        for name, kinds in nothing.items():
            connection.execute(f"create or replace table {name} ({kinds})")

    def build(self, *names: str, **variables: Any) -> None:
        """Build models in this order."""
        build(self.connection, *names, variables=variables)

    def build_incrementally(self, *names: str, **variables: Any) -> None:
        """Build models in this order, of incremental ones only what was touched."""
        build_incrementally(self.connection, *names, variables=variables)

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        return rows(self.connection, sql, *values)


def world_after(days: int, *, half_life_days: float | None = None) -> PreferenceWorld:
    """A world whose build runs some days after the first, when everything is loaded."""
    return PreferenceWorld(
        as_of=START + timedelta(days=days, hours=7), half_life_days=half_life_days
    )
