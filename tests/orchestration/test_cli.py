"""The command: JSON and nothing else on standard output, errors that say what to do next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import duckdb
import pytest

from orchestration.cli import app
from orchestration.lib import steps
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.xdist_group("cli")

COMMANDS = [
    *(
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    ),
    *(group.name for group in app.registered_groups if group.name),
]


@dataclass(frozen=True)
class Outcome:
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Everything on standard output, as JSON."""
        return json.loads(self.out)


def attune(*arguments: str, home: Path, **settings: str) -> Outcome:
    """Run the command as a person does, with only these settings."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("ATTUNE_")}
    environment |= {"ATTUNE_HOME": str(home), "COLUMNS": "100", **settings}
    finished = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Outcome(finished.returncode, finished.stdout, finished.stderr)


@pytest.fixture(scope="module")
def first_run(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> tuple[WorkspaceUnderTest, Outcome]:
    """A small world, simulated and run by one command."""
    under_test = make_workspace(tmp_path_factory.mktemp("cli"), project_dir, manifests)
    home = under_test.workspace.home
    return under_test, attune("run", "--users", "60", "--days", "5", "--json", home=home)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_with_an_example(command: str, tmp_path: Path) -> None:
    found = attune(command, "--help", home=tmp_path)
    assert found.code == 0
    assert "Example" in found.out


def test_a_first_run_does_everything(first_run: tuple[WorkspaceUnderTest, Outcome]) -> None:
    under_test, found = first_run
    assert found.code == 0, found.err
    report = found.json
    assert report["simulated_records"] > 0
    assert report["loaded_files"] == 10
    assert report["touched_dates"] == [f"2026-03-0{day}" for day in range(2, 7)]
    assert report["moved"] > 60
    ledger = report["summary"]["ledger"]
    gone = ledger["duplicate"] + ledger["rejected"] + ledger["suppressed"]
    assert ledger["records_in"] == ledger["accepted"] + gone > 0
    assert {each["experiment_name"] for each in report["summary"]["experiments"]} == {
        row["experiment_name"]
        for row in under_test.query("select * from marts.rpt_experiment_results")
    }
    assert report["summary"]["preferences"]
    assert under_test.workspace.published.is_file()
    stages = ["simulate", "ingest", "build", "sync", "publish", "report"]
    assert list(report["seconds"]) == stages
    assert "build:" in found.err or "build ..." in found.err


def test_a_second_run_says_that_nothing_is_new(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, first = first_run
    found = attune("run", home=under_test.workspace.home)
    assert found.code == 0, found.err
    assert "nothing to rebuild" in found.err
    assert "nothing is lost" in found.out
    again = attune("run", "--json", home=under_test.workspace.home).json
    assert (again["simulated_records"], again["loaded_files"], again["built_nodes"]) == (0, 0, 0)
    assert again["summary"] == first.json["summary"]


def test_another_day_touches_what_it_holds(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    found = attune("run", "--more-days", "1", "--json", home=under_test.workspace.home)
    assert found.code == 0, found.err
    assert found.json["loaded_files"] == 2
    assert "2026-03-07" in found.json["touched_dates"]
    assert "2 new files touch" in found.err
    verified = attune("verify", "--json", home=under_test.workspace.home)
    assert (verified.code, verified.json["ok"]) == (0, True)


def test_a_cache_that_differs_fails_the_verification(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    home = under_test.workspace.home
    with closing(apsw.Connection(str(home / "cache.sqlite"))) as connection:
        connection.execute(
            "update entries set payload = x'00', content_hash = '0' where key = "
            "(select min(key) from entries where view = 'hot_user_profiles')"
        )
    found = attune("verify", "--json", home=home)
    assert found.code == 1
    # the value's hash, and the meta's checksum
    assert (found.json["ok"], found.json["difference_count"]) == (False, 2)
    assert attune("sync", "--recheck", home=home).code == 0
    assert attune("verify", home=home).code == 0


def test_a_hot_mart_that_fails_its_tests_is_not_synced(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    home, mart = under_test.workspace.home, "serving.hot_consent_purposes"
    with duckdb.connect(str(under_test.workspace.warehouse)) as connection:
        connection.execute(f"insert into {mart} from {mart} limit 1")
    refused = attune("sync", home=home)
    assert refused.code == 1
    assert "the_cache_knows_each_purpose_once" in refused.err
    # keys of the cache are unique whatever was tested
    assert "repeat a key" in attune("sync", "--skip-tests", home=home).err
    with duckdb.connect(str(under_test.workspace.warehouse)) as connection:
        connection.execute(f"create or replace table {mart} as select distinct * from {mart}")
    assert attune("sync", home=home).code == 0


def test_a_lost_cache_is_filled_once_the_build_holds_what_users_said(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    home = under_test.workspace.home
    for file in home.glob("cache.sqlite*"):
        file.unlink()
    under_test.drop("serve-20260309-0.jsonl", b"")
    refused = attune("sync", home=home)
    assert refused.code == 1
    assert "lost what users said" in refused.err
    done = attune("run", home=home)
    assert done.code == 0, done.err
    verified = attune("verify", "--json", home=home)
    assert (verified.code, verified.json["ok"]) == (0, True)
    # nothing waits and everything is built: nothing can be lost
    for file in home.glob("cache.sqlite*"):
        file.unlink()
    assert attune("sync", home=home).code == 0


def test_explain_takes_a_raw_id_and_its_pseudonym(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, first = first_run
    home = under_test.workspace.home
    pseudonym = first.json["summary"]["user_id"]
    found = attune("explain", pseudonym, home=home)
    assert found.code == 0, found.err
    assert first.json["summary"]["preferences"][0]["dimension"] in found.out
    raw = attune("explain", "user-0000001", "--json", home=home)
    assert raw.json["is_known"]
    assert attune("explain", raw.json["user_id"], "--json", home=home).json == raw.json | {
        "freshness": raw.json["freshness"]
        | {"age_hours": pytest.approx(raw.json["freshness"]["age_hours"], abs=0.1)}
    }


def test_explain_of_a_stranger_fails_and_says_so(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    found = attune("explain", "nobody", "--json", home=under_test.workspace.home)
    assert found.code == 1
    assert found.json["error"] == "nothing is served for the user 'nobody'"
    assert found.json["next"]


def test_all_that_is_held_about_a_user_is_exported(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    found = attune("export", "user-0000001", home=under_test.workspace.home)
    assert found.code == 0, found.err
    about, *rows = [json.loads(line) for line in found.out.splitlines()]
    assert about["table"] == "about"
    user_id = about["user_id"]
    assert {row.get("user_id", row.get("unit_id")) for row in rows} == {user_id}
    counted = Counter(row["table"] for row in rows)
    (lake,) = under_test.query(
        "select count(*) as n from staging.stg_telemetry__records where user_id = ?", user_id
    )
    assert counted["lake"] == lake["n"] > 0
    # whatever mart tells of users is in it
    marts = under_test.query(
        "select distinct table_schema || '.' || table_name as name, table_name "
        "from information_schema.columns "
        "where table_schema in ('marts', 'serving') and column_name = 'user_id'"
    )
    for mart in marts:
        (held,) = under_test.query(
            f"select count(*) as n from {mart['name']} where user_id = ?", user_id
        )
        assert counted[mart["table_name"]] == held["n"], mart
    assert f"rows of {len(counted)} tables about {user_id}" in found.err

    stranger = attune("export", "nobody", home=under_test.workspace.home)
    assert (stranger.code, stranger.out) == (1, "")
    assert "nothing is held about this user" in stranger.err


def test_an_erasure_with_nobody_to_forget_says_so(
    first_run: tuple[WorkspaceUnderTest, Outcome],
) -> None:
    under_test, _ = first_run
    home = under_test.workspace.home
    first = attune("erase", "--json", home=home)
    assert first.code == 0, first.err
    assert first.json["is_rewritten"] == (first.json["rows"] > 0)
    again = attune("erase", home=home)
    assert again.code == 0, again.err
    assert "nobody is left to forget" in again.out


def test_a_key_between_the_oldest_and_the_newest_retires(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    attune("ingest", home=tmp_path)
    for _ in range(2):
        attune("keys", "rotate", home=tmp_path)
    refused = attune("keys", "retire", "k1", home=tmp_path)
    assert refused.code == 1
    assert "never retires" in refused.err
    retired = attune("keys", "retire", "k2", "--json", home=tmp_path)
    assert [key["key_id"] for key in retired.json["keys"]] == ["k1", "k3"]


def test_the_ledger_is_one_line_a_file(first_run: tuple[WorkspaceUnderTest, Outcome]) -> None:
    under_test, _ = first_run
    found = attune("ledger", "--json", home=under_test.workspace.home).json
    assert found["totals"]["files"] == len(found["files"])
    assert len(found["files"]) == len(steps.loaded_batches(under_test.workspace))


@pytest.mark.parametrize(
    ("arguments", "settings", "error"),
    [
        (["ledger"], {}, "there is no warehouse yet"),
        (["sync"], {}, "there is no warehouse yet"),
        (["publish"], {}, "there is no warehouse"),
        (["simulate", "--more-days", "1"], {}, "there is no simulated world to continue"),
        (["ledger"], {"ATTUNE_HOMES": "x"}, "unknown setting ATTUNE_HOMES"),
        (["ledger"], {"ATTUNE_TARGET": "oracle"}, "unknown engine 'oracle'"),
    ],
)
def test_a_failure_exits_with_one_and_says_what_where_and_what_next(
    arguments: list[str], settings: dict[str, str], error: str, tmp_path: Path
) -> None:
    found = attune(*arguments, home=tmp_path, **settings)
    assert found.code == 1
    assert found.out == ""
    assert f"error: {error}" in found.err
    as_json = attune(*arguments, "--json", home=tmp_path, **settings)
    assert as_json.code == 1
    assert error in as_json.json["error"]


def test_a_wrong_declaration_stops_a_build_before_dbt(
    tmp_path: Path, workspace: Callable[..., WorkspaceUnderTest]
) -> None:
    mine = tmp_path / "mine"
    assert attune("init", str(mine), home=tmp_path).code == 0
    assert attune("init", str(mine), home=tmp_path).code == 1
    segments = mine / "catalog" / "segments.csv"
    segments.write_text(segments.read_text() + "plan,user.plan\n")
    home = workspace().workspace.home
    found = attune("build", "--json", home=home, ATTUNE_DECLARATIONS=str(mine))
    assert found.code == 1
    assert found.json["where"] == "catalog/segments.csv, row 4: repeats row 2: segment_name 'plan'"
    assert not (home / "warehouse.duckdb").exists()
