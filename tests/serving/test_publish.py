from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from serving.errors import PublishError
from serving.publish import publish

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("ready", flush=True)
sys.stdin.readline()
print(connection.execute("select distinct n from marts.dim_users").fetchall())
"""

READER = """
import json, sys, time
import duckdb
target, parquet, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
reads, torn, seen = 0, 0, set()
print("ready", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end:
    with duckdb.connect(target, read_only=True) as connection:
        rounds = connection.execute("select distinct n from marts.dim_users").fetchall()
        same = connection.execute("select distinct n from marts.by_view").fetchall()
        files = connection.execute(f"select distinct n from '{parquet}'").fetchall()
    reads += 1
    seen.add(rounds[0])
    torn += rounds != same or len(rounds) != 1 or len(files) != 1
print(json.dumps({"reads": reads, "torn": torn, "seen": len(seen)}))
"""


def build(path: Path, number: int, *, rows: int = 100) -> Path:
    with duckdb.connect(str(path)) as connection:
        for schema in ("marts", "serving", "staging"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute(
            f"create or replace table marts.dim_users as select i, {number} as n, "
            f"timestamp '2026-01-01' as at, map {{'k': 'v'}} as m from range({rows}) as r(i)"
        )
        connection.execute(
            'create or replace view marts.by_view as select * from "warehouse"."marts"."dim_users"'
        )
        connection.execute(f"create or replace table serving.hot_x as select {number} as n")
        connection.execute("create or replace table staging.private as select 1 as x")
    return path


def read(target: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(target), read_only=True) as connection:
        return connection.execute(query).fetchall()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tables_and_views_of_the_schemas_are_published_and_nothing_else(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    target = tmp_path / "published" / "attune.duckdb"
    report = publish(warehouse, target)
    relations = [("marts", "by_view"), ("marts", "dim_users"), ("serving", "hot_x")]
    assert [(table.schema, table.name) for table in report.tables] == relations
    assert [table.rows for table in report.tables] == [100, 100, 1]
    assert report.bytes == target.stat().st_size
    found = read(
        target,
        "select table_schema, table_name from information_schema.tables "
        "where table_type = 'BASE TABLE' order by all",
    )
    assert found == relations
    assert read(target, "select count(*), any_value(m['k']) from marts.by_view") == [(100, "v")]
    for schema, name in relations:
        path = target.parent / "parquet" / schema / f"{name}.parquet"
        assert read(target, f"select count(*) from '{path}'") == read(
            target, f"select count(*) from {schema}.{name}"
        )


def test_older_drivers_can_read_the_file(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    target = tmp_path / "attune.duckdb"
    publish(warehouse, target)
    ((tags,),) = read(target, "select tags from duckdb_databases() where database_name = 'attune'")
    assert tags == {"storage_version": "v1.2.0+"}


def test_a_reader_of_the_old_file_keeps_it_and_a_new_one_sees_the_new(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    target = tmp_path / "published" / "attune.duckdb"
    first = publish(warehouse, target)
    old_version = first.parquet_path.resolve()
    reader = [
        sys.executable,
        "-c",
        HOLDER,
        str(target),
    ]
    with subprocess.Popen(
        reader, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        publish(build(warehouse, 2), target)
        out, _ = process.communicate("go\n", timeout=10)
    assert out == "[(1,)]\n"
    assert read(target, "select n from serving.hot_x") == [(2,)]
    assert not old_version.exists()
    parquet = target.parent / "parquet" / "serving" / "hot_x.parquet"
    assert read(target, f"select n from '{parquet}'") == [(2,)]


def test_the_file_is_replaced_never_written_over(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    target = tmp_path / "attune.duckdb"
    publish(warehouse, target)
    before = target.read_bytes()
    with target.open("rb") as held:
        publish(build(warehouse, 2), target)
        assert held.read() == before
    assert target.read_bytes() != before


def test_readers_never_see_half_a_publish(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 0)
    target = tmp_path / "published" / "attune.duckdb"
    publish(warehouse, target)
    parquet = target.parent / "parquet" / "marts" / "dim_users.parquet"
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(target), str(parquet), "2.0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    number = 0
    while process.poll() is None:
        number += 1
        publish(build(warehouse, number), target)
    result = json.loads(process.stdout.read())
    process.stdout.close()
    assert result["torn"] == 0
    assert result["reads"] > 10
    assert result["seen"] > 2


def test_a_killed_publish_leaves_the_old_one_and_the_next_cleans_up(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    folder = tmp_path / "published"
    target = folder / "attune.duckdb"
    publish(warehouse, target)
    clean = names(folder)
    build(warehouse, 2, rows=1_000_000)
    script = (
        "import sys\nfrom pathlib import Path\nfrom serving.publish import publish\n"
        "print('ready', flush=True)\npublish(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(warehouse), str(target)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 10
    while not list(folder.glob(".unfinished-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert names(folder) != clean, "the child was killed too late to leave anything"
    assert read(target, "select n from serving.hot_x") == [(1,)]
    publish(warehouse, target)
    assert len(names(folder)) == len(clean)
    assert not list(folder.glob(".unfinished-*"))
    assert read(target, "select n from serving.hot_x") == [(2,)]


def test_a_failed_publish_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    folder = tmp_path / "published"
    target = folder / "attune.duckdb"
    publish(warehouse, target)
    clean = names(folder)
    with pytest.raises(PublishError, match=r"'nothing' .* holds nothing"):
        publish(warehouse, target, schemas=("marts", "nothing"))
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create table serving.gone as select 1 as x")
        connection.execute("create view serving.broken as select * from serving.gone")
        connection.execute("drop table serving.gone")
    with pytest.raises(PublishError, match="untouched"):
        publish(warehouse, target)
    assert names(folder) == clean
    assert read(target, "select n from serving.hot_x") == [(1,)]


def test_without_a_warehouse_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="dbt build"):
        publish(tmp_path / "none.duckdb", tmp_path / "published" / "attune.duckdb")


def test_a_real_folder_in_the_links_place_is_not_touched(tmp_path: Path) -> None:
    warehouse = build(tmp_path / "warehouse.duckdb", 1)
    (tmp_path / "published" / "parquet").mkdir(parents=True)
    with pytest.raises(PublishError, match="symbolic link"):
        publish(warehouse, tmp_path / "published" / "attune.duckdb")
