"""DuckDB and Spark give the same marts over the same lake, declarations and instant.

Spark's tables are read from the Parquet files of its warehouse folder, without Spark: what another
program finds there is what counts.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest

from orchestration.lib import dbt_runner
from tests.end_to_end import emitters
from tests.orchestration.ingest import otlp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.workspaces import WorkspaceUnderTest

SCHEMAS: Final = ("marts", "serving")
TOLERANCE: Final = 1e-9
# text that holds doubles
JSON_COLUMNS: Final = ("why",)
# A short run on little data: compiling costs more than what it saves.
JAVA_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SPARK_DEFAULTS: Final = """
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
"""
NOON: Final = 1_772_712_000 * 10**9

Row = tuple[Any, ...]


def erasure_record() -> bytes:
    """A user who asks to be forgotten after some days."""
    attributes = {"user.id": "user-0000003"}
    asked = otlp.log("user.erasure.requested", nanos=NOON + 60 * 10**9, attributes=attributes)
    return otlp.lines(otlp.request(asked))


def odd_records() -> bytes:
    """Texts that engines cast differently by themselves, and copies that differ in content."""
    user = {"user.id": "odd-user"}
    texts = ["12", "12.0", "7.5", "2.5", "1e3", "12d", "3f", " 8 ", "-4", "x", "", "NaN", "1e400"]
    spans = [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "chat",
            "startTimeUnixNano": str(NOON + number * 10**9 + 1_000),
            "endTimeUnixNano": str(NOON + number * 10**9 + 5_001_000),
            "attributes": [
                otlp.attribute(key, value)
                for key, value in {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "quote's \\ model",
                    "gen_ai.usage.input_tokens": text,
                    "gen_ai.usage.output_tokens": 3,
                    **user,
                }.items()
            ],
        }
        for number, text in enumerate(texts, start=1)
    ]
    scores = [
        otlp.log(
            "gen_ai.evaluation.result",
            nanos=NOON + number * 10**6,
            attributes={
                "gen_ai.evaluation.name": "tést",
                "gen_ai.evaluation.score.value": text,
                **user,
            },
        )
        for number, text in enumerate(texts)
    ]
    copies = [
        otlp.log(
            "assistant.feedback",
            nanos=NOON,
            attributes={
                "log.record.uid": "one-uid",
                "rating": rating,
                "comment.kind": kind,
                **user,
            },
        )
        for rating in ("positive", "negative")
        for kind in ("a", "B", "é", "=", "a, b")
    ]
    return otlp.lines(
        otlp.span_request(*spans), otlp.request(*scores), otlp.request(*copies, *copies[:2])
    )


def build_on_spark(world: WorkspaceUnderTest, given: str, root: Path) -> Path:
    """Run `dbt build --target spark` in a process of its own; return the manifest."""
    settings = root / "spark_settings"
    settings.mkdir()
    (settings / "spark-defaults.conf").write_text(SPARK_DEFAULTS)
    target = root / "spark_target"
    arguments = ["build", "--target", "spark", "--vars", given]
    paths = ["--target-path", str(target), "--log-path", str(root / "spark_logs")]
    finished = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", *arguments, *paths],
        cwd=world.workspace.project_dir,
        env={
            **os.environ,
            **world.workspace.environment(),
            "DBT_PROFILES_DIR": str(world.workspace.project_dir),
            "SPARK_CONF_DIR": str(settings),
            "JDK_JAVA_OPTIONS": JAVA_OPTIONS,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-20_000:] + finished.stderr[-2_000:]
    return target / "manifest.json"


def statuses(run_results: Path) -> dict[str, str]:
    """Status by node of a build; a warning is a status of its own."""
    results = json.loads(run_results.read_text())["results"]
    return {each["unique_id"]: each["status"] for each in results}


def read_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[str], list[Row]]:
    """Column names and rows of a table or a table function."""
    result = connection.execute(f"select * from {relation}")
    return [column[0] for column in result.description], result.fetchall()


def differences(
    name: str,
    columns: Sequence[str],
    here: Sequence[Row],
    there: Sequence[Row],
    *,
    json_columns: Sequence[str] = (),
    ignored_columns: Sequence[str] = (),
) -> list[str]:
    """Say where two tables differ as sets of rows: doubles by tolerance, JSON parsed, all else exactly.

    Args:
        name: Of the table, for the messages.
        columns: Of both.
        here: Rows on DuckDB.
        there: Rows on Spark.
        json_columns: Columns that hold JSON text.
        ignored_columns: Columns that follow from the text of others.
    """
    if len(here) != len(there):
        return [f"{name}: {len(here)} rows on duckdb, {len(there)} on spark"]
    kept = [place for place, column in enumerate(columns) if column not in ignored_columns]
    parsed = {place for place in kept if columns[place] in json_columns}

    def value(row: Row, place: int) -> Any:
        found = row[place]
        return json.loads(found) if place in parsed and found is not None else found

    def split(row: Row) -> tuple[str, tuple[float, ...], dict[str, Any]]:
        values = {columns[place]: value(row, place) for place in kept}
        floats: list[float] = []
        return repr(exact_part(values, floats)), tuple(floats), values

    found = []
    pairs = zip(
        sorted(map(split, here), key=_order), sorted(map(split, there), key=_order), strict=True
    )
    for (exact, floats, one), (other_exact, other_floats, two) in pairs:
        is_close = len(floats) == len(other_floats) and all(map(close, floats, other_floats))
        if exact != other_exact or not is_close:
            wrong = {
                column: (one[column], two[column])
                for column in one
                if exact_part(one[column], []) != exact_part(two[column], [])
                or (isinstance(one[column], float) and not close(one[column], two[column]))
            }
            found.append(f"{name}: {wrong} (duckdb, spark) in {one}")
    return found


def _order(part: tuple[str, tuple[float, ...], dict[str, Any]]) -> tuple[str, tuple[float, ...]]:
    return part[0], part[1]


def exact_part(value: Any, floats: list[float]) -> Any:
    """Return a value with its doubles taken out, and put these into the list."""
    if isinstance(value, float):
        floats.append(value)
        return "double"
    if isinstance(value, dict):
        return [[key, exact_part(value[key], floats)] for key in sorted(value)]
    if isinstance(value, list):
        return [exact_part(each, floats) for each in value]
    return value


def close(here: float, there: float) -> bool:
    """Compare two doubles; the absolute tolerance is for what cancels to nothing."""
    if not (math.isfinite(here) and math.isfinite(there)):
        return False
    return math.isclose(here, there, rel_tol=TOLERANCE, abs_tol=1e-12)


def marts_of(manifest: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Every mart as the manifest knows it: (schema, name) -> its serving declaration."""
    nodes = json.loads(manifest.read_text())["nodes"].values()
    return {
        (node["schema"], node["alias"]): node["config"]["meta"].get("serving") or {}
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] in SCHEMAS
    }


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_every_mart_is_the_same_on_spark(
    workspace: Callable[..., WorkspaceUnderTest], tmp_path: Path
) -> None:
    world = workspace("engines")
    world.simulate(users=60, days=4)
    world.drop("erasure.jsonl", erasure_record())
    world.drop("odd.jsonl", odd_records())
    for name, content in emitters.files().items():
        world.drop(name, content)
    report = world.ingest()
    as_of = report.loaded_at.strftime("%Y-%m-%d %H:%M:%S.%f")
    # effects of the few units of a small world are pooled too
    given = json.dumps({"as_of": as_of, "pooled_units_minimum": 2})
    # plain dbt, as on Spark: unit tests too
    built = dbt_runner.run_dbt(
        world.workspace,
        ["build", "--vars", given],
        manifest=world.manifests.manifest_for(world.workspace),
    )
    assert built.success, [each.message for each in built.result if each.status != "success"]
    on_duckdb = statuses(world.workspace.dbt_target / "run_results.json")

    manifest = build_on_spark(world, given, tmp_path)

    # the same nodes, data tests and unit tests ran, and ended alike
    assert statuses(manifest.with_name("run_results.json")) == on_duckdb
    warehouse = world.workspace.home / "spark" / "warehouse"
    marts = marts_of(manifest)
    assert len(marts) > 20
    found: list[str] = []
    with duckdb.connect(world.workspace.warehouse, read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        for (schema, name), serving in sorted(marts.items()):
            files = warehouse / f"{schema}.db" / name / "*.parquet"
            columns, here = read_rows(connection, f"{schema}.{name}")
            spark_columns, there = read_rows(connection, f"read_parquet('{files}')")
            assert spark_columns == columns, name
            # two empty tables are equal and prove nothing
            assert here, f"{schema}.{name} is empty: let the small world hold what fills it"
            found += differences(
                f"{schema}.{name}",
                columns,
                here,
                there,
                json_columns=[serving["payload"]] if serving else JSON_COLUMNS,
                ignored_columns=["content_hash", "row_hash"] if serving else [],
            )
    assert not found, f"{len(found)} rows differ:\n" + "\n".join(found[:20])


@pytest.mark.parametrize(
    ("here", "there", "is_same"),
    [
        ([("a", 1, 1.0)], [("a", 1, 1.0 + 1e-10)], True),
        ([("a", 1, 1.0)], [("a", 1, 1.0 + 1e-8)], False),
        ([("a", 1, 1.0)], [("a", 2, 1.0)], False),
        ([("a", 1, None)], [("a", 1, 0.0)], False),
        ([("a", 1, 1.0)], [], False),
        ([("a", 1, 2.0), ("b", 1, 1.0)], [("b", 1, 1.0), ("a", 1, 2.0)], True),
        ([("a", 1, 2.0), ("b", 1, 1.0)], [("b", 1, 2.0), ("a", 1, 1.0)], False),
        ([("a", 1, math.nan)], [("a", 1, math.nan)], False),
    ],
)
def test_the_comparison_sees_what_differs(here: list[Row], there: list[Row], is_same: bool) -> None:
    assert (differences("table", ["key", "count", "value"], here, there) == []) is is_same


def test_the_comparison_parses_json() -> None:
    def compare(there: str) -> list[str]:
        here = ('{"b": 1, "a": [{"score": 0.5}]}', "x")
        return differences(
            "table",
            ["payload", "content_hash"],
            [here],
            [(there, "y")],
            json_columns=["payload"],
            ignored_columns=["content_hash"],
        )

    assert compare('{"a":[{"score":0.50000000001}],"b":1}') == []
    assert compare('{"a":[{"score":0.6}],"b":1}')
    assert compare('{"a":[{"score":null}],"b":1}')
    assert compare('{"a":[],"b":1}')
