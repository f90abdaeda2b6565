"""Real decisions of two policies, each judged on the log of the other, through the front door.

The expected numbers come with the data and were computed by other code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.end_to_end.open_bandit import LOGS, declarations, telemetry
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

# decision point (the log) and target policy -> key of the expected numbers
DIRECTIONS = {("random", "bts"): "random_to_bts", ("bts", "random"): "bts_to_random"}
ESTIMATORS = ("ips", "snips", "dm", "dr")

pytestmark = pytest.mark.xdist_group("open_bandit")


@pytest.fixture(scope="module")
def expected(shared_dir: Path) -> dict[str, Any]:
    path = shared_dir / "real" / "open_bandit_all" / "EXPECTED.json"
    numbers: dict[str, Any] = json.loads(path.read_text())
    return numbers


@pytest.fixture(scope="module")
def open_bandit(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    folder = shared_dir / "real" / "open_bandit_all"
    workspace = make_workspace(
        tmp_path_factory.mktemp("open_bandit"),
        project_dir,
        manifests,
        overrides=declarations(folder),
    )
    for name, content in telemetry(folder):
        workspace.drop(name, content)
    workspace.ingest()
    workspace.build()
    return workspace


def close(number: float) -> Any:
    """1e-9 relative."""
    return pytest.approx(number, rel=1e-9, abs=0)


@pytest.fixture(scope="module")
def values(open_bandit: WorkspaceUnderTest) -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = open_bandit.query("select * from marts.rpt_policy_values")
    return {(row["decision_point"], row["policy_name"], row["estimator"]): row for row in rows}


@pytest.mark.parametrize("log_name", LOGS)
def test_logged_rewards_are_those_of_the_source(
    open_bandit: WorkspaceUnderTest, expected: dict[str, Any], log_name: str
) -> None:
    wanted = expected["on_policy"][f"on_policy_{log_name}"]
    (row,) = open_bandit.query(
        "select count(*) as n, sum(reward)::int as clicks, avg(reward) as ctr, "
        "min(propensity) as least, max(propensity) as most from marts.fct_decisions "
        "where decision_point = ?",
        log_name,
    )
    assert (row["n"], row["clicks"]) == (wanted["n"], wanted["clicks"])
    assert row["ctr"] == close(wanted["ctr"])
    assert [row["least"], row["most"]] == wanted["pscore_min_max"]


@pytest.mark.parametrize(("direction", "name"), DIRECTIONS.items())
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_values_and_errors_are_those_of_the_source(
    values: dict[tuple[str, str, str], dict[str, Any]],
    expected: dict[str, Any],
    direction: tuple[str, str],
    name: str,
    estimator: str,
) -> None:
    row = values[(*direction, estimator)]
    wanted = expected[name]["closed_form_tabular_q"][estimator]
    assert row["value"] == close(wanted["value"])
    assert row["std_error"] == close(wanted["se"])
    assert [row["ci_lower"], row["ci_upper"]] == [close(end) for end in wanted["normal95"]]


@pytest.mark.parametrize(("direction", "name"), DIRECTIONS.items())
def test_weights_are_those_of_the_source(
    values: dict[tuple[str, str, str], dict[str, Any]],
    expected: dict[str, Any],
    direction: tuple[str, str],
    name: str,
) -> None:
    wanted = expected[name]["weights"]
    for estimator in (*ESTIMATORS, "switch_dr"):
        row = values[(*direction, estimator)]
        assert row["rows"] == 10_000
        assert row["effective_sample_size"] == close(wanted["ess"])
        assert row["maximum_weight"] == close(wanted["max"])
        assert row["mean_weight"] == close(wanted["mean"])
        assert row["mean_weight_std_error"] == close(wanted["sd"] / 100)


def test_an_item_that_the_log_never_showed_is_warned_of(
    values: dict[tuple[str, str, str], dict[str, Any]],
) -> None:
    for estimator in (*ESTIMATORS, "switch_dr"):
        assert values["random", "bts", estimator]["support"] == "ok"
        assert values["random", "bts", estimator]["reason"] is None
        row = values["bts", "random", estimator]
        # Thompson sampling left one item out at one of three positions: 1/80 of about a third
        assert row["support"] == "warn"
        assert row["unsupported_share"] == close(0.00414625)
        assert row["reason"] == "the log never took 0.41% of what the policy would do"


def test_switch_dr_leaves_large_weights_to_the_reward_model(
    values: dict[tuple[str, str, str], dict[str, Any]],
) -> None:
    for direction in DIRECTIONS:
        switched, robust = (values[(*direction, name)] for name in ("switch_dr", "dr"))
        assert switched["std_error"] < robust["std_error"]
        assert switched["value"] != robust["value"]


@pytest.mark.parametrize(
    ("claim", "mistake"),
    [
        (
            "intermediate/policies/exploring_decisions_carry_a_propensity",
            "update intermediate.int_decisions_resolved set propensity = null where action = '7'",
        ),
        (
            "marts/policies/exploration_floors_are_held",
            "update marts.fct_decisions set propensity = 0 where action = '7'",
        ),
        (
            "marts/policies/exploration_floors_are_held",
            (
                "update marts.fct_decisions set propensity = 0.0124 "
                "where decision_point = 'random' and action = '7'"
            ),
        ),
        (
            "marts/policies/logged_probabilities_add_up_to_one",
            "update marts.fct_decisions set propensity = 0.0126 where decision_point = 'random'",
        ),
        (
            "intermediate/policies/policy_probabilities_add_up_to_one",
            (
                "update intermediate.int_policy_cells set probability = 0.02 "
                "where policy_name = 'random' and action = '7'"
            ),
        ),
        (
            "declarations/policies_add_up_to_one",
            (
                "delete from declarations.target_policies "
                "where policy_name = 'random' and action = '7'"
            ),
        ),
    ],
)
def test_contract_finds_what_may_not_be(
    open_bandit: WorkspaceUnderTest, claim: str, mistake: str
) -> None:
    compiled = open_bandit.workspace.dbt_target / "compiled" / "attune" / "tests" / "dbt"
    question = (compiled / f"{claim}.sql").read_text()
    with duckdb.connect(str(open_bandit.workspace.warehouse)) as connection:
        assert connection.execute(question).fetchall() == []
        connection.begin()
        connection.execute(mistake)
        found = connection.execute(question).fetchall()
        connection.rollback()
    assert found
