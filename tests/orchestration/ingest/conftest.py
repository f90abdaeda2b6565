"""A home of its own for every test, and short ways to fill and to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.orchestration.ingest.otlp import Query


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ATTUNE_KEY_FILE", raising=False)
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    return home


@pytest.fixture
def declarations(project_dir: Path) -> Path:
    return project_dir / "seeds" / "declarations"


@pytest.fixture
def query(home: Path) -> Query:
    """Run SQL over the lake: only rows of batches that exist are in `log_records` and `spans`."""

    def run(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            for table in ("batches", "rejections"):
                connection.execute(
                    f"create view {table} as from read_parquet('{home}/lake/{table}/*.parquet')"
                )
            for table in ("log_records", "spans"):
                connection.execute(
                    f"create view {table} as from read_parquet("
                    f"'{home}/lake/{table}/*/*.parquet', hive_partitioning = true) "
                    "where batch_id in (select batch_id from batches)"
                )
            return connection.execute(sql).fetchall()

    return run
