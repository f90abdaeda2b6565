"""Dagster runs everything on a small workspace, and the web UI shows it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
import pytest
from playwright.sync_api import expect, sync_playwright
from rich.console import Console

from orchestration.lib import dagster_ui, steps
from orchestration.lib.dbt_runner import environment
from orchestration.lib.failed_checks import failed_checks
from orchestration.lib.manifest import prepared_manifest
from orchestration.lib.progress import Stages
from orchestration.lib.runs import HotPath
from serving.api.events import CONSENT_CHANGED, PREFERENCE_SET, event_line, new_event_id
from serving.client import Client
from serving.clock import utc_now
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("dagster")

START_SECONDS = 90
SECOND = timedelta(seconds=1)
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Run:
    """A finished run of the job `everything`."""

    under_test: WorkspaceUnderTest
    run_id: str
    success: bool
    events: list[dg.DagsterEvent]
    failed: list[str]

    def materialized(self, key: str) -> dg.AssetMaterialization:
        """Return what a run recorded for an asset."""
        wanted = dg.AssetKey(key.split("/"))
        return next(
            event.step_materialization_data.materialization
            for event in self.events
            if event.is_step_materialization and event.asset_key == wanted
        )


def run_everything(under_test: WorkspaceUnderTest) -> Run:
    """Run the job in this process, recorded in the workspace's own Dagster home."""
    from orchestration.definitions import definitions_of

    workspace = under_test.workspace
    dagster_ui.prepare(workspace)
    with (
        environment(workspace.environment()),
        dg.DagsterInstance.from_config(str(workspace.dagster_home)) as instance,
    ):
        job = definitions_of(workspace).resolve_job_def("everything")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        checks = failed_checks(instance, result.run_id, prepared_manifest(workspace))
        return Run(
            under_test,
            result.run_id,
            result.success,
            list(result.all_events),
            [str(check) for check in checks],
        )


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> Run:
    under_test = make_workspace(tmp_path_factory.mktemp("dagster"), project_dir, manifests)
    manifests.manifest_for(under_test.workspace)
    under_test.simulate(users=60, days=5)
    return run_everything(under_test)


def test_a_run_materializes_every_asset(finished: Run) -> None:
    assert finished.success
    assert finished.failed == []
    manifest = prepared_manifest(finished.under_test.workspace)
    built = {event.asset_key for event in finished.events if event.is_step_materialization}
    names = {key.path[-1] for key in built if key is not None}
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] in ("model", "seed")]
    assert {node["name"] for node in nodes} <= names
    assert {"log_records", "serving_cache", "published_file"} <= names


def test_tables_carry_row_counts_and_column_lineage(finished: Run) -> None:
    metadata = finished.materialized("marts/fct_events").metadata
    counted = finished.under_test.query("select count(*) as rows from marts.fct_events")
    assert metadata["dagster/row_count"].value == counted[0]["rows"] > 0
    lineage = metadata["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    assert lineage.deps_by_column["event_name"]


def test_the_warehouse_is_free_after_a_run(finished: Run) -> None:
    warehouse = str(finished.under_test.workspace.warehouse)
    command = f"import duckdb; duckdb.connect({warehouse!r}).execute('select 1')"
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)


def test_cache_and_published_file_hold_what_the_warehouse_holds(finished: Run) -> None:
    workspace = finished.under_test.workspace
    assert steps.verify(workspace).ok
    with duckdb.connect(str(workspace.published), read_only=True) as published:
        row = published.execute("select count(*) from serving.hot_user_profiles").fetchone()
    counted = finished.under_test.query("select count(*) as rows from serving.hot_user_profiles")
    assert row == (counted[0]["rows"],)


TINY_PROJECT = {
    "dbt_project.yml": """
        name: tiny
        profile: attune
        models: {+materialized: table}
    """,
    "models/_tiny.yml": """
        sources:
          - name: lake
            tables: [{name: batches}]
        models:
          - name: hot_things
            config:
              schema: serving
              meta: {serving: {key_columns: [thing], payload: payload, max_age_hours: 1}}
            columns:
              - name: thing
                data_tests:
                  - accepted_values:
                      name: things_are_small
                      arguments: {values: [small]}
    """,
    "models/hot_things.sql": """
        -- depends_on: {{ source('lake', 'batches') }}
        select 'large' as thing, '{}' as payload, md5('{}') as content_hash
    """,
}


def test_a_failing_check_stops_sync_and_publish(tmp_path: Path, project_dir: Path) -> None:
    tiny = tmp_path / "tiny"
    for name, content in TINY_PROJECT.items():
        path = tiny / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
    shutil.copy(project_dir / "profiles.yml", tiny)
    shutil.copytree(project_dir / "macros" / "naming", tiny / "macros")
    under_test = make_workspace(
        tmp_path / "gated",
        tiny,
        ManifestCache(),
        declarations=project_dir / "seeds" / "declarations",
    )
    found = run_everything(under_test)
    assert not found.success
    assert found.failed == [
        "serving/hot_things: things_are_small (error) failed; its claim stands in models/_tiny.yml"
    ]
    materialized = {
        event.asset_key.path[-1]
        for event in found.events
        if event.is_step_materialization and event.asset_key is not None
    }
    assert materialized == {"batches", "hot_things"}
    assert not under_test.workspace.published.exists()


@pytest.fixture
def web_ui(finished: Run) -> Iterator[str]:
    """Dagster's web server on loopback, with the finished run's home."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = finished.under_test.workspace
    log = workspace.home / "webserver.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("dagster-webserver")),
                "--module-name",
                "orchestration.definitions",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env=dagster_ui.environment(workspace),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_up(url, process, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the server to answer; its log is the message if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=5):  # noqa: S310 (loopback)
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    pytest.fail(f"the web server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture
def page(web_ui: str) -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no chromium on the PATH: scripts/setup-machine installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        try:
            yield browser.new_page(base_url=web_ui, viewport={"width": 1600, "height": 1000})
        finally:
            browser.close()


@pytest.mark.browser
def test_the_web_ui_shows_the_asset_graph_and_the_finished_run(
    page: Page, finished: Run, tmp_path: Path
) -> None:
    page.goto("/asset-groups")
    for group in ("marts_core", "marts_experiments", "lake", "serving"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)
    page.screenshot(path=tmp_path / "graph.png")
    page.goto("/runs")
    expect(page.get_by_text(finished.run_id[:8]).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Success").first).to_be_visible()
    page.screenshot(path=tmp_path / "runs.png")
    manifest = prepared_manifest(finished.under_test.workspace)
    checks = [
        node["name"]
        for node in manifest["nodes"].values()
        if str(node.get("attached_node")).endswith(".fct_events")
    ]
    page.goto("/assets/marts/fct_events?view=checks")
    expect(page.get_by_text(checks[0]).first).to_be_visible(timeout=60_000)
    page.screenshot(path=tmp_path / "asset.png")


def test_what_a_user_says_reaches_the_cache_between_builds(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = finished.under_test
    workspace = under_test.workspace
    (user,) = under_test.query("select min(user_id) as user_id from serving.hot_user_profiles")
    raw = next(
        raw
        for number in range(60)
        if steps.pseudonyms_of(workspace, raw := f"user-{number:07d}")[0] == user["user_id"]
    )
    now = utc_now()
    said: list[tuple[str, dict[str, str | bool | float]]] = [
        (CONSENT_CHANGED, {"consent.purpose": "personalization", "consent.granted": True}),
        (PREFERENCE_SET, {"preference.dimension": "answer_style", "preference.value": "detailed"}),
    ]
    lines = [
        event_line(
            name, {"user.id": raw, **attributes}, event_id=new_event_id(), at=now + number * SECOND
        )
        for number, (name, attributes) in enumerate(said)
    ]
    under_test.drop("said.jsonl", b"".join(line + b"\n" for line in lines))
    # as if these were the first events of a day
    yesterday = (now - timedelta(days=1)).date()
    monkeypatch.setattr(steps, "day_of_build", lambda _: yesterday)
    report = HotPath(workspace).follow(Stages(Console(file=io.StringIO())))
    assert (report.loaded_files, report.refused_files) == (1, [])
    assert report.moved > 0
    assert "int_preference_evidence" in report.model_seconds
    assert "int_preference_cuts" not in report.model_seconds
    assert "sync of the refit" in report.seconds
    with Client(workspace.cache_url) as client:
        explained = client.explain_user(user["user_id"])
    (style,) = (
        each
        for each in explained["preferences"]
        if (each["dimension"], each["context"]) == ("answer_style", "all")
    )
    assert (style["value"], style["kind"]) == ("detailed", "stated")
    # the other views are as the whole build left them
    ages = steps.cache_freshness(workspace)
    assert ages["hot_user_profiles"].as_of > ages["hot_experiments"].as_of
    assert HotPath(workspace).follow(Stages(Console(file=io.StringIO()))).loaded_files == 0
