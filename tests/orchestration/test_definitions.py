"""The code location: everything the project declares is an asset or a check of it."""

import dataclasses
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.lib import steps
from orchestration.lib.failed_checks import FailedCheck, failed_checks, failure_message
from orchestration.lib.manifest import (
    group_of,
    hot_mart_ids,
    is_outdated,
    prepared_manifest,
    with_attached_tests,
)
from serving.clock import utc_now
from serving.errors import StoreError
from tests.serving.api.served import fill, world
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

pytestmark = pytest.mark.xdist_group("dagster")


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> WorkspaceUnderTest:
    """Sixty users and five days wait in the inbox."""
    found = make_workspace(tmp_path_factory.mktemp("definitions"), project_dir, manifests)
    manifests.manifest_for(found.workspace)
    found.simulate(users=60, days=5)
    return found


@pytest.fixture(scope="module")
def manifest(small: WorkspaceUnderTest) -> dict[str, Any]:
    return prepared_manifest(small.workspace)


@pytest.fixture(scope="module")
def definitions(small: WorkspaceUnderTest) -> dg.Definitions:
    from orchestration.definitions import definitions_of

    loaded = definitions_of(small.workspace)
    dg.Definitions.validate_loadable(loaded)
    return loaded


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_every_model_seed_and_source_is_an_asset(
    definitions: dg.Definitions, manifest: Mapping[str, Any]
) -> None:
    names = {key.split("/")[-1] for key in specs(definitions)}
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] in ("model", "seed")]
    assert {node["name"] for node in nodes} <= names
    assert {source["name"] for source in manifest["sources"].values()} <= names
    assert {"serving_cache", "published_file"} <= names


def test_assets_say_their_folder_owner_and_meaning(
    definitions: dg.Definitions, manifest: Mapping[str, Any]
) -> None:
    found = specs(definitions)
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        spec = found[f"{node['schema']}/{node['name']}"]
        assert spec.group_name == group_of(node)
        assert spec.owners or not node["group"], f"{node['name']} has no owner"
    assert found["marts/fct_events"].group_name == "marts_core"
    assert found["serving_cache"].group_name == "serving"


def test_every_data_test_is_a_check_and_those_of_severity_error_block(
    definitions: dg.Definitions, manifest: Mapping[str, Any]
) -> None:
    checks = {
        spec.name: spec
        for asset in definitions.assets or []
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.check_specs
    }
    tests = [n for n in manifest["nodes"].values() if n["resource_type"] == "test"]
    assert tests
    assert {node["name"] for node in tests} == set(checks) - {"cache_is_fresh"}
    for node in tests:
        severity = node["config"]["severity"].lower()
        assert checks[node["name"]].blocking == (severity == "error")


def test_a_test_of_several_tables_is_attached_to_the_lowest() -> None:
    def model(name: str, *parents: str) -> dict[str, Any]:
        return {"resource_type": "model", "name": name, "depends_on": {"nodes": list(parents)}}

    claim = {
        "resource_type": "test",
        "name": "claim",
        "depends_on": {"nodes": ["model.b", "model.a", "source.s"]},
        "config": {"severity": "error", "meta": {"purpose": "operations"}},
    }
    given = {
        "nodes": {"model.a": model("a"), "model.b": model("b", "model.a"), "test.claim": claim},
        "parent_map": {"model.a": ["source.s"], "model.b": ["model.a"], "source.s": []},
    }
    attached = with_attached_tests(given)["nodes"]["test.claim"]["config"]
    assert attached["meta"] == {"purpose": "operations", "dagster": {"ref": {"name": "b"}}}
    assert claim["config"] == {"severity": "error", "meta": {"purpose": "operations"}}


def test_sync_and_publish_wait_for_what_they_carry(
    definitions: dg.Definitions, manifest: Mapping[str, Any]
) -> None:
    found = specs(definitions)
    hot = {manifest["nodes"][each]["name"] for each in hot_mart_ids(manifest)}
    assert hot
    cached = {dep.asset_key.path[-1] for dep in found["serving_cache"].deps}
    published = {dep.asset_key.path[-1] for dep in found["published_file"].deps}
    assert cached == hot
    assert hot < published


def test_one_step_at_a_time_touches_the_warehouse(definitions: dg.Definitions) -> None:
    pools = {
        asset.op.name: asset.op.pool
        for asset in definitions.assets or []
        if isinstance(asset, dg.AssetsDefinition)
    }
    assert pools == {
        "lake": "ingest",
        "models": "warehouse",
        "serving_cache": "warehouse",
        "published_file": "warehouse",
        # these read the cache and the published file alone
        "serving_cache_cache_is_fresh": None,
        "experiment_reports": None,
    }


def test_the_inbox_sensor_asks_for_one_run_for_the_same_files(
    definitions: dg.Definitions, small: WorkspaceUnderTest
) -> None:
    sensor = definitions.resolve_sensor_def("inbox")
    with dg.DagsterInstance.ephemeral() as instance:
        first = sensor(dg.build_sensor_context(instance=instance))
        second = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(first, dg.RunRequest)
        assert isinstance(second, dg.RunRequest)
        assert first.run_key == second.run_key
        small.drop("0000-one-more.jsonl", b"")
        third = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(third, dg.RunRequest)
        assert third.run_key != first.run_key


def test_an_empty_inbox_starts_nothing(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    from orchestration.defs.triggers import inbox_sensor

    empty = make_workspace(tmp_path, project_dir, manifests)
    with dg.DagsterInstance.ephemeral() as instance:
        found = inbox_sensor(empty.workspace)(dg.build_sensor_context(instance=instance))
    assert isinstance(found, dg.SkipReason)
    assert "no files" in str(found.skip_message)


def test_the_schedules_run_at_night_in_utc(definitions: dg.Definitions) -> None:
    for name, cron in (
        ("nightly", "30 2 * * *"),
        ("nightly_compaction", "30 1 * * *"),
        ("weekly_erasure", "30 4 * * 0"),
        ("hourly_cache_age", "15 * * * *"),
    ):
        schedule = definitions.resolve_schedule_def(name)
        assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "UTC")
        assert schedule.description


def test_the_compaction_is_a_job_of_its_own(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        job = definitions.resolve_job_def("compaction")
        assert job.description
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success


def test_a_cache_that_nothing_brings_up_to_date_fails_the_check_of_its_age(
    definitions: dg.Definitions, small: WorkspaceUnderTest, tmp_path: Path
) -> None:
    job = definitions.resolve_job_def("cache_age")
    url = small.workspace.cache_url
    with dg.instance_for_test() as instance:
        # the last sync was in time, and then the pipeline stopped
        for hours, succeeds in ((1, True), (100, False)):
            fill(tmp_path, url, world(), utc_now() - timedelta(hours=hours))
            result = job.execute_in_process(instance=instance, raise_on_error=False)
            (check,) = result.get_asset_check_evaluations()
            assert (check.check_name, check.passed) == ("cache_is_fresh", succeeds)
            assert result.success is succeeds
            names = {step.step_key for step in result.all_events if step.step_key}
            assert names == {"serving_cache_cache_is_fresh"}, "nothing else runs"


@pytest.mark.parametrize("lost", ["every view", "one view"])
def test_a_cache_that_holds_nothing_of_a_hot_mart_is_not_taken_for_a_fresh_one(
    small: WorkspaceUnderTest, tmp_path: Path, lost: str
) -> None:
    cache = tmp_path / "cache.sqlite"
    workspace = dataclasses.replace(small.workspace, cache_url=f"sqlite:///{cache}")
    fill(tmp_path, workspace.cache_url, world(), utc_now())
    assert not any(age.is_stale for age in steps.cache_freshness(workspace).values())
    where = "" if lost == "every view" else " where view = 'hot_experiments'"
    with closing(sqlite3.connect(cache)) as connection, connection:
        assert connection.execute(f"delete from views{where}").rowcount
    with pytest.raises(StoreError, match=r"holds no hot_.*attune sync"):
        steps.cache_freshness(workspace)


def test_a_failed_check_is_named_with_its_table_and_file() -> None:
    test = {"resource_type": "test", "name": "ids_are_unique", "original_file_path": "a/b.yml"}

    @dg.asset
    def orders() -> None: ...

    @dg.asset_check(asset=orders, blocking=True)
    def ids_are_unique() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([orders, ids_are_unique], instance=instance, raise_on_error=False)
        assert not result.success
        checks = failed_checks(instance, result.run_id, {"nodes": {"test.ids": test}})
    assert checks == [FailedCheck("orders", "ids_are_unique", "error", "a/b.yml")]
    assert "orders: ids_are_unique (error) failed; its claim stands in a/b.yml" in failure_message(
        result.run_id, "a step failed", checks
    )


def test_a_failure_without_a_failed_check_says_so() -> None:
    assert "no check failed" in failure_message("0123456789", "a step failed", [])


def test_a_manifest_older_than_what_it_describes_is_outdated(tmp_path: Path) -> None:
    model = tmp_path / "models" / "a.sql"
    model.parent.mkdir()
    model.write_text("select 1 as one")
    found = make_workspace(tmp_path / "w", tmp_path, ManifestCache(), declarations=tmp_path / "w")
    workspace = found.workspace
    assert is_outdated(workspace), "there is none"
    workspace.dbt_target.mkdir()
    workspace.manifest.write_text("{}")
    later = workspace.manifest.stat().st_mtime + 60
    os.utime(workspace.manifest, (later, later))
    assert not is_outdated(workspace)
    os.utime(model, (later + 1, later + 1))
    assert is_outdated(workspace), "a model changed"
    os.utime(model, (later - 1, later - 1))
    os.utime(model.parent, (later + 1, later + 1))
    assert is_outdated(workspace), "a model was added or deleted"


def test_definitions_stay_a_table_of_contents(project_dir: Path) -> None:
    lines = (project_dir / "orchestration" / "definitions.py").read_text().splitlines()
    assert len(lines) < 60
