"""How long 1,000 events take from the inbox to the cache, and where the time goes.

Run `make bench`, or `python -m benchmarks.hot_path --users 53000` for a warehouse of 10 million
records. The whole world is loaded and built first; then `attune follow --once` runs as a process of
its own, dbt's start-up included. `--world DIR` builds the world there and keeps it; a world that is
there is copied, brought to the models of today, and used again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestration.lib import dbt_runner, runs, steps
from orchestration.lib.home import Workspace, workspace_from
from orchestration.lib.manifest import hot_path_selection, prepared_manifest
from orchestration.lib.progress import Stages
from orchestration.lib.report import open_warehouse

EVENTS = 1_000
GOAL_SECONDS = 30.0
SLOWEST = 10
SEED = 7


def records_in(line: bytes) -> int:
    """Log records and spans of one export request."""
    request = json.loads(line)
    scopes = [
        scope
        for resource in request.get("resourceLogs", []) + request.get("resourceSpans", [])
        for scope in resource.get("scopeLogs", []) + resource.get("scopeSpans", [])
    ]
    return sum(len(scope.get("logRecords", []) + scope.get("spans", [])) for scope in scopes)


def put_batch(workspace: Workspace, stages: Stages) -> int:
    """Leave only the first lines of one more simulated day in the inbox; return their records."""
    with stages.stage("simulate", "days") as update:
        steps.simulate(
            workspace,
            users=0,
            days=0,
            seed=SEED,
            more_days=1,
            on_progress=lambda done, total, records: update(done, total, f"{records:,} records"),
        )
    batch: list[bytes] = []
    records = 0
    for path in sorted(workspace.inbox.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            if records < EVENTS:
                batch.append(line)
                records += records_in(line)
        path.unlink()
    (workspace.inbox / "batch.jsonl").write_bytes(b"\n".join(batch) + b"\n")
    return records


def count_records(workspace: Workspace) -> int:
    """Log records and spans that the world holds."""
    with open_warehouse(workspace.warehouse) as connection:
        row = connection.execute(
            "select (select count(*) from lake.log_records) + (select count(*) from lake.spans)"
        ).fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    """Build a world, then follow one small batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--world", type=Path, help="Where to keep the world, or find it")
    arguments = parser.parse_args()
    console, stages = Console(), Stages()
    with tempfile.TemporaryDirectory(dir=arguments.world and arguments.world.parent) as scratch:
        home = Path(scratch) / "home"
        environment = {**os.environ, "ATTUNE_HOME": str(arguments.world or home)}
        workspace = workspace_from(environment)
        if not workspace.warehouse.exists():
            runs.run(workspace, stages, users=arguments.users, days=arguments.days, seed=SEED)
        if arguments.world:
            shutil.copytree(arguments.world, home)
            environment["ATTUNE_HOME"] = str(home)
            workspace = workspace_from(environment)
            with stages.stage("build", "nodes") as update:
                dbt_runner.build(
                    workspace,
                    select=hot_path_selection(prepared_manifest(workspace)),
                    only_selected_tests=True,
                    on_progress=lambda node: update(node.done, node.total, node.name),
                )
            steps.sync(workspace, only_hot_path=True)
        world_records = count_records(workspace)
        records = put_batch(workspace, stages)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "orchestration.cli", "follow", "--once", "--json"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
    report = json.loads(done.stdout)
    table = Table(
        "stage",
        "seconds",
        title=f"{records:,} events on {world_records:,}: {seconds:.1f} s",
    )
    for name, each in report["seconds"].items():
        table.add_row(name, f"{each:.1f}")
    table.add_row("start and imports", f"{seconds - sum(report['seconds'].values()):.1f}")
    slowest = sorted(report["model_seconds"].items(), key=lambda model: -model[1])
    for name, each in slowest[:SLOWEST]:
        table.add_row(f"  of the build: {name}", f"{each:.1f}")
    console.print(table)
    verdict = "reached" if seconds <= GOAL_SECONDS else "not reached"
    console.print(f"goal {GOAL_SECONDS:.0f} s on 10 million: {verdict} on {world_records:,}")


if __name__ == "__main__":
    main()
