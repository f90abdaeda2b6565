"""Real telemetry through the front door: the marts hold the numbers computed from the source.

The expected numbers come with the data and were computed from its source by other code (numpy and
scipy); nothing here is attune's own expectation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DECLARATIONS = Path(__file__).parent / "declarations"
WELCH = (
    "control_units",
    "treatment_units",
    "control_value",
    "treatment_value",
    "absolute_effect",
    "absolute_std_error",
    "absolute_ci_lower",
    "absolute_ci_upper",
    "degrees_of_freedom",
    "p_value",
)

pytestmark = pytest.mark.xdist_group("real_data")


def overlay(name: str) -> dict[str, str]:
    """Declarations of a data set, to lay over the project's own: path -> content."""
    folder = DECLARATIONS / name
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def built(
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    """Load and build one folder of the real input under its own declarations."""
    workspace = make_workspace(
        tmp_path_factory.mktemp(name), project_dir, manifests, overrides=overlay(name)
    )
    folder = shared_dir / "real" / name
    for path in sorted(folder.glob("*.jsonl*")):
        if not path.name.startswith("vscode"):
            workspace.drop(path.name, path.read_bytes())
    workspace.ingest()
    workspace.build()
    return workspace


@pytest.fixture(scope="module")
def expected(shared_dir: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((shared_dir / "real" / "EXPECTED.json").read_text())
    return numbers


@pytest.fixture(scope="module")
def hillstrom(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    return built("hillstrom", tmp_path_factory, project_dir, manifests, shared_dir)


@pytest.fixture(scope="module")
def copilot_cups(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    return built("copilot_cups", tmp_path_factory, project_dir, manifests, shared_dir)


@pytest.fixture(scope="module")
def otlp_sample(
    tmp_path_factory: pytest.TempPathFactory,
    project_dir: Path,
    manifests: ManifestCache,
    shared_dir: Path,
) -> WorkspaceUnderTest:
    return built("otlp_sample", tmp_path_factory, project_dir, manifests, shared_dir)


def assert_close(actual: Any, wanted: Any, what: str) -> None:
    """Counts exactly, statistics to 1e-9 relative."""
    if isinstance(wanted, int):
        assert actual == wanted, what
    else:
        assert actual == pytest.approx(wanted, rel=1e-9, abs=0), what


def effects(expected: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    """Yield arm, metric, segment, segment value and the expected row."""
    for arm, metrics in expected["hillstrom"]["effects"].items():
        for metric in ("visit", "conversion", "spend"):
            yield arm, metric, "all", "all", metrics[metric]
    for segment, values in expected["hillstrom"]["effects_per_segment"].items():
        for value, arms in values.items():
            for arm, metrics in arms.items():
                for metric, row in metrics.items():
                    yield arm, metric, segment, value, row


def test_hillstrom_effects_are_those_of_the_source(
    hillstrom: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    rows = {
        (
            row["treatment_variant"],
            row["metric_name"],
            row["segment_name"],
            row["segment_value"],
        ): row
        for row in hillstrom.query(
            "select * from marts.rpt_experiment_results where adjustment = 'none'"
        )
    }
    checked = 0
    for arm, metric, segment, value, wanted in effects(expected):
        row = rows[arm, metric, segment, value]
        assert row["status"] == "ok"
        for name in WELCH:
            assert_close(row[name], wanted[name], f"{arm} {metric} {segment}={value} {name}")
            checked += 1
    assert checked == 540


def test_hillstrom_cuped_by_prior_spend_says_how_little_it_removes(
    hillstrom: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    rows = hillstrom.query(
        "select * from marts.rpt_experiment_results where metric_name = 'spend' "
        "and segment_name = 'all' and adjustment = 'cuped'"
    )
    wanted = {
        arm: metrics["spend_cuped_by_history"]
        for arm, metrics in expected["hillstrom"]["effects"].items()
    }
    assert {row["treatment_variant"] for row in rows} == set(wanted)
    for row in rows:
        arm = row["treatment_variant"]
        assert row["status"] == "ok"
        assert row["units_without_history"] == 0
        for name in WELCH:
            assert_close(row[name], wanted[arm][name], f"{arm} {name}")
        assert_close(row["theta"], wanted[arm]["theta"], f"{arm} theta")
        assert_close(
            row["variance_removed"], wanted[arm]["variance_reduction"], f"{arm} variance removed"
        )
        assert round(row["variance_removed"], 4) == 0.0004


def test_hillstrom_prior_spend_differs_between_no_arms(
    hillstrom: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    # the covariate's own moments, since it is no metric of the experiment
    (control, *treatments) = hillstrom.query(
        """
        select
            variant,
            count(*) as units,
            avg(raw_covariate_numerator) as mean,
            stddev_samp(raw_covariate_numerator) as std_dev
        from intermediate.int_experiment_unit_values
        where metric_name = 'spend' and is_latest
        group by variant
        order by variant != 'no-email'
        """
    )
    arms = expected["hillstrom"]["arms"]
    for row in (control, *treatments):
        wanted = arms[row["variant"]]
        assert row["units"] == wanted["units"]
        assert_close(row["mean"], wanted["history"]["mean"], f"{row['variant']} mean")
        assert_close(row["std_dev"], wanted["history"]["std_dev"], f"{row['variant']} deviation")
    for row in treatments:
        wanted = expected["hillstrom"]["effects"][row["variant"]]["history"]
        assert_close(row["mean"] - control["mean"], wanted["absolute_effect"], row["variant"])


def test_hillstrom_arms_are_those_of_the_source(
    hillstrom: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    rows = hillstrom.query(
        """
        select
            variant,
            metric_name,
            units,
            numerator_total as total,
            sqrt((numerator_numerator_sum - numerator_sum * numerator_sum / units) / (units - 1))
                as std_dev
        from intermediate.int_experiment_moments
        where segment_name = 'all' and metric_name in ('visit', 'conversion', 'spend')
        """
    )
    assert len(rows) == 9
    for row in rows:
        arm = expected["hillstrom"]["arms"][row["variant"]]
        wanted = arm[row["metric_name"]]
        what = f"{row['variant']} {row['metric_name']}"
        assert row["units"] == arm["units"], what
        assert_close(row["total"], wanted["sum"], f"{what} sum")
        assert_close(row["total"] / row["units"], wanted["mean"], f"{what} mean")
        assert_close(row["std_dev"], wanted["std_dev"], f"{what} standard deviation")


def test_hillstrom_window_of_seven_days(
    hillstrom: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    arms = expected["hillstrom"]["arms"]
    rows = hillstrom.query(
        "select variant, sum(raw_numerator) as visitors "
        "from intermediate.int_experiment_unit_values "
        "where metric_name = 'visit_within_7_days' and is_latest group by variant"
    )
    assert {row["variant"]: int(row["visitors"]) for row in rows} == {
        arm: values["visited_within_7_days"] for arm, values in arms.items()
    }


def test_hillstrom_sample_ratio(hillstrom: WorkspaceUnderTest, expected: dict[str, Any]) -> None:
    wanted = expected["hillstrom"]["sample_ratio_equal_allocation"]
    (row,) = hillstrom.query(
        "select * from marts.rpt_experiment_health "
        "where check_name = 'sample_ratio' and segment_name = 'all'"
    )
    assert_close(row["statistic"], wanted["chi_square"], "chi-square")
    assert_close(row["p_value"], wanted["p_value"], "p-value")
    assert row["status"] == "pass"


def test_hillstrom_events(hillstrom: WorkspaceUnderTest, expected: dict[str, Any]) -> None:
    rows = hillstrom.query(
        "select event_name, count(*) as records from marts.fct_events group by event_name"
    )
    assert {row["event_name"]: row["records"] for row in rows} == expected["hillstrom"][
        "records_per_event"
    ]


def test_cups_events_sessions_and_suggestions(
    copilot_cups: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    cups = expected["copilot_cups"]
    by_event = copilot_cups.query(
        "select event_name, count(*) as records from marts.fct_events group by event_name"
    )
    assert {row["event_name"]: row["records"] for row in by_event} == cups["records_per_event"]
    by_date = copilot_cups.query(
        "select event_date, count(*) as records from marts.fct_events group by event_date"
    )
    assert {str(row["event_date"]): row["records"] for row in by_date} == cups[
        "records_per_utc_date"
    ]
    (sessions,) = copilot_cups.query(
        "select count(*) as sessions, count(distinct user_id) as users from marts.fct_sessions"
    )
    assert sessions == {
        "sessions": cups["sessions_by_inactivity_of_30_minutes"],
        "users": cups["users"],
    }
    (suggestions,) = copilot_cups.query(
        """
        select
            count(*) as "distinct",
            count(*) filter (where is_shown) as shown,
            count(*) filter (where is_decided) as decided,
            count(*) filter (where is_shown and is_decided) as shown_and_decided,
            count(*) filter (where is_shown and not is_decided) as shown_never_decided,
            count(*) filter (where is_decided and not is_shown) as decided_never_shown,
            count(*) filter (where replay_count > 0) as replayed
        from marts.fct_suggestions
        """
    )
    assert suggestions == cups["suggestions"]


def test_cups_acceptance_rate_is_one_definition_for_daily_metrics(
    copilot_cups: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    acceptance = expected["copilot_cups"]["acceptance"]
    (row,) = copilot_cups.query(
        "select sum(numerator) as accepted, sum(denominator) as decisions "
        "from marts.fct_unit_metrics_daily where metric_name = 'acceptance_rate' and unit = 'user'"
    )
    assert row == {"accepted": acceptance["accepted"], "decisions": acceptance["decisions"]}


def test_cups_preference_scores_are_the_shrunk_rates(
    copilot_cups: WorkspaceUnderTest, expected: dict[str, Any]
) -> None:
    cups = expected["copilot_cups"]
    rows = copilot_cups.query(
        "select * from marts.fct_preference_scores where context = 'all' order by user_id"
    )
    assert len(rows) == cups["users"]
    for row in rows:
        assert_close(row["prior_mean"], cups["beta_prior_over_users"]["mean"], "prior mean")
        assert_close(
            row["prior_strength"], cups["beta_prior_over_users"]["strength"], "prior strength"
        )
    # users are pseudonyms here: compare them as (decisions, accepted, posterior mean)
    wanted = sorted(
        (user["decisions"], user["accepted"], user["posterior_mean"])
        for user in cups["per_user"].values()
    )
    actual = sorted((row["evidence_count"], row["successes"], row["score"]) for row in rows)
    for (decisions, accepted, mean), (count, successes, score) in zip(wanted, actual, strict=True):
        assert (count, successes) == (decisions, accepted)
        assert_close(score, mean, "posterior mean")


def test_sample_of_a_real_sdk(otlp_sample: WorkspaceUnderTest) -> None:
    (turns,) = otlp_sample.query(
        "select count(*) as turns, count(*) filter (where has_error) as failed "
        "from marts.fct_assistant_turns"
    )
    assert turns == {"turns": 16, "failed": 3}
    exposures = otlp_sample.query(
        "select flag_key, variant, count(*) as exposures, sum(record_count)::int as records "
        "from intermediate.int_exposures_merged where flag_key != 'personalization-holdout' "
        "group by all order by all"
    )
    # every evaluation stands in both files; twins count once
    assert [tuple(row.values()) for row in exposures] == [
        ("chat-model", "control", 7, 14),
        ("chat-model", "treatment", 9, 18),
        ("concise-answers", "on", 16, 32),
    ]
    feedback = otlp_sample.query(
        "select feedback_kind, count(*) as records, count(score) as scored "
        "from marts.fct_feedback group by all order by all"
    )
    assert [tuple(row.values()) for row in feedback] == [
        ("edit_hunk", 13, 13),
        ("edit_survival", 8, 8),
        ("evaluation", 13, 13),
        ("rating", 5, 5),
    ]
    (tools,) = otlp_sample.query("select count(*) as calls from marts.fct_tool_calls")
    assert tools == {"calls": 5}


def test_every_record_is_accounted_for(
    hillstrom: WorkspaceUnderTest,
    copilot_cups: WorkspaceUnderTest,
    otlp_sample: WorkspaceUnderTest,
    expected: dict[str, Any],
) -> None:
    for workspace, records in (
        (hillstrom, expected["hillstrom"]["records"]),
        (copilot_cups, expected["copilot_cups"]["records"]),
        (otlp_sample, 74 + 37),
    ):
        (row,) = workspace.query(
            "select sum(records_in)::int as records_in, sum(accepted)::int as accepted, "
            "sum(duplicate + rejected + suppressed)::int as others "
            "from marts.rpt_telemetry_ledger"
        )
        assert row == {"records_in": records, "accepted": records, "others": 0}
