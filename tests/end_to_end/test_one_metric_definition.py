"""One definition feeds BI and the scorecards: MetricFlow and attune's own SQL agree on every metric.

MetricFlow reads the same YAML and writes its own SQL; `fct_unit_metrics_daily` is attune's.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.lib import dbt_runner
from orchestration.lib.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest

OWN_METRIC = """
version: 2
semantic_models:
  - name: own_turns
    description: Turns.
    model: ref('fct_assistant_turns')
    defaults: {agg_time_dimension: occurred_at}
    entities:
      - {name: own_turn, type: primary, expr: turn_id}
    dimensions:
      - name: occurred_at
        type: time
        type_params: {time_granularity: day}
    measures:
      - {name: own_turn_rows, agg: AGGREGATION, expr: turn_id}
metrics:
  - name: own_turns
    label: Own turns
    description: Turns.
    type: simple
    type_params: {measure: MEASURE}
    config: {meta: {experiment: {kind: mean}}}
"""


def by_metricflow(
    workspace: WorkspaceUnderTest, metrics: list[str], out: Path
) -> dict[tuple[str, str], float]:
    """Query metrics by day with MetricFlow: (metric, date) -> value, missing values left out."""
    environment = {
        **os.environ,
        **workspace.workspace.environment(),
        "DBT_TARGET_PATH": str(workspace.workspace.dbt_target),
        "DBT_LOG_PATH": str(workspace.workspace.dbt_logs),
    }
    command = Path(sys.executable).parent / "mf"
    arguments = ["query", "--metrics", ",".join(metrics), "--group-by", "metric_time"]
    finished = subprocess.run(
        [str(command), *arguments, "--csv", str(out)],
        cwd=workspace.workspace.project_dir,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    values = {}
    with out.open() as file:
        for row in csv.DictReader(file):
            for metric in metrics:
                if row[metric] != "":
                    values[metric, row["metric_time__day"][:10]] = float(row[metric])
    return values


def test_metricflow_and_the_scorecards_read_one_definition(
    workspace: Callable[..., WorkspaceUnderTest], tmp_path: Path
) -> None:
    world = workspace("metrics")
    world.simulate(users=60, days=5)
    world.ingest()
    world.build()
    manifest = json.loads(world.workspace.manifest.read_text())
    metrics = sorted(
        metric["name"]
        for metric in manifest["metrics"].values()
        if metric["config"]["meta"].get("experiment")
    )
    assert len(metrics) >= 14
    rows = world.query(
        "select metric_name, event_date, numerator, denominator "
        "from marts.fct_unit_metrics_daily where unit = 'all'"
    )
    ours = {}
    for row in rows:
        value = row["numerator"]
        if row["denominator"] is not None and value is not None:
            value = value / row["denominator"] if row["denominator"] else None
        if value is not None:
            ours[row["metric_name"], str(row["event_date"])] = value
    theirs = by_metricflow(world, metrics, tmp_path / "metrics.csv")
    assert theirs.keys() == ours.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, rel=1e-9), key


@pytest.mark.parametrize(
    ("aggregation", "measure", "message"),
    [
        ("count", "no_such_measure", "no_such_measure"),
        ("count_distinct", "own_turn_rows", "count_distinct"),
    ],
)
def test_a_metric_that_cannot_be_used_fails_the_build_by_name(
    workspace: Callable[..., WorkspaceUnderTest], aggregation: str, measure: str, message: str
) -> None:
    metric = OWN_METRIC.replace("AGGREGATION", aggregation).replace("MEASURE", measure)
    world = workspace("wrong", overrides={"metrics/own.yml": metric})
    with pytest.raises(BuildError) as raised:
        dbt_runner.build(world.workspace, select="int_metric_events")
    assert message in str(raised.value)
