"""Counts, means, variances and covariances by tea-tasting on a DuckDB file.

Runs in an environment of its own (requirements-reference.lock), so it imports nothing of attune.
Prints JSON: seconds on the clock and of all cores, and the moments by metric and variant.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import duckdb
import ibis
import tea_tasting.aggr

Moments = dict[str, dict[str, dict[str, float]]]


def aggregates(table: Any, metrics: dict[str, dict[str, str]]) -> Moments:
    """Moments of metrics (part -> column) by one query, which tea-tasting writes."""
    columns = sorted({column for parts in metrics.values() for column in parts.values()})
    pairs = [
        (parts["numerator"], column)
        for parts in metrics.values()
        for part, column in parts.items()
        if part != "numerator"
    ]
    found = tea_tasting.aggr.read_aggregates(
        table, "variant", has_count=True, mean_cols=columns, var_cols=columns, cov_cols=pairs
    )
    return {
        metric: {
            str(variant): {"units": arm.count()}
            | {f"{part}_mean": arm.mean(column) for part, column in parts.items()}
            | {f"{part}_variance": arm.var(column) for part, column in parts.items()}
            | {
                f"{part}_covariance": arm.cov(parts["numerator"], column)
                for part, column in parts.items()
                if part != "numerator"
            }
            for variant, arm in found.items()
        }
        for metric, parts in metrics.items()
    }


def main() -> None:
    """Read what to do from the command line: file, route, threads, metrics as JSON."""
    path, route, threads, text = sys.argv[1:]
    metrics = json.loads(text)
    connection: Any
    if route == "narwhals":
        connection = duckdb.connect(path, read_only=True, config={"threads": int(threads)})
    else:
        connection = ibis.duckdb.connect(path, read_only=True, threads=int(threads))
    usage, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    if route in ("narwhals", "ibis"):
        moments = aggregates(connection.table("units"), metrics)
    else:
        values = connection.table("int_experiment_unit_values")
        moments = {}
        for metric, parts in metrics.items():
            columns = {part: f"raw_{part}" for part in parts}
            chosen = values.filter(values.metric_name == metric, values.is_latest)
            moments |= aggregates(chosen, {metric: columns})
    wall, used = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    json.dump({"wall": wall, "cpu": cpu, "moments": moments}, sys.stdout)


if __name__ == "__main__":
    main()
