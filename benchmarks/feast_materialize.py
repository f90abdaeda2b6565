"""Feast materializing a Parquet file of features into its online store, and reading one entity back.

Runs in an environment of its own (requirements-feast.lock), so it imports nothing of attune. Prints
JSON: seconds to materialize, and microseconds of a single read (median).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, String
from feast.value_type import ValueType

READS = 300


def main() -> None:
    """Read from the command line: Parquet file, scratch folder, sqlite or redis, its address."""
    parquet, folder, kind, address = sys.argv[1:]
    online = (
        {"type": "sqlite", "path": address}
        if kind == "sqlite"
        else {"type": "redis", "connection_string": address}
    )
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(Path(folder) / "registry.db"),
            online_store=online,
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    names = [name for name in pq.read_schema(parquet).names if name.startswith("feature_")]
    view = FeatureView(
        name="profile",
        entities=[user],
        ttl=timedelta(days=0),
        schema=[
            Field(name="user_id", dtype=String),
            *(Field(name=n, dtype=Float64) for n in names),
        ],
        source=FileSource(path=parquet, timestamp_field="event_timestamp"),
        online=True,
    )
    store.apply([user, view])
    start, end = pd.Timestamp("2025-12-31", tz="UTC"), pd.Timestamp("2026-01-02", tz="UTC")
    began = time.perf_counter()
    store.materialize(start.to_pydatetime(), end.to_pydatetime())
    seconds = time.perf_counter() - began
    features = [f"profile:{name}" for name in names]
    keys = pq.read_table(parquet, columns=["user_id"]).column(0).slice(0, READS).to_pylist()
    times = []
    for key in keys:
        began = time.perf_counter()
        answer = store.get_online_features(features=features, entity_rows=[{"user_id": key}])
        values = answer.to_dict()
        times.append(time.perf_counter() - began)
        if values[names[0]] == [None]:
            raise SystemExit(f"Feast does not serve {key}, which it has just materialized")
    print(  # noqa: T201 (read by the benchmark)
        json.dumps({"seconds": seconds, "read_microseconds": statistics.median(times) * 1e6})
    )


if __name__ == "__main__":
    main()
