"""What real emitters send, in every dialect they speak, and what the marts make of it.

The files come in two loads, GitHub Copilot's second names first: what counts may not depend on what
came first.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end import emitters
from tests.end_to_end.emitters import COPILOT_FACTS, DAYS, FLAG_DIALECTS, SECRET
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("emitters")


@pytest.fixture(scope="module")
def emitted(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> WorkspaceUnderTest:
    workspace = make_workspace(tmp_path_factory.mktemp("emitters"), project_dir, manifests)
    second_names = "copilot-second-names.jsonl"
    files = emitters.files()
    workspace.drop(second_names, files.pop(second_names))
    workspace.ingest()
    workspace.build()
    for name, content in files.items():
        workspace.drop(name, content)
    workspace.ingest()
    workspace.build()
    return workspace


def rows(workspace: WorkspaceUnderTest, day: str, columns: str, mart: str) -> list[tuple[Any, ...]]:
    """Columns of a mart's rows on an emitter's day, sorted."""
    found = workspace.query(
        f"select {columns} from marts.{mart} where event_date = ? order by all",
        DAYS[day].date(),
    )
    return [tuple(row.values()) for row in found]


def test_everything_sent_is_accepted(emitted: WorkspaceUnderTest) -> None:
    (row,) = emitted.query(
        "select sum(accepted)::int as accepted, sum(duplicate + rejected + suppressed)::int as rest, "
        "sum(records_in)::int as records from marts.rpt_telemetry_ledger"
    )
    copilot = 2 * (len(COPILOT_FACTS) + 2)
    assert row == {"accepted": row["records"], "rest": 0, "records": copilot + 7 + 11 + 6 + 2 + 9}


def test_copilots_twins_count_once(emitted: WorkspaceUnderTest) -> None:
    assert rows(emitted, "copilot", "count(*), count(distinct event_id)", "fct_events") == [
        (len(COPILOT_FACTS) + 2,) * 2
    ]
    twins = emitted.query(
        "select record_count from marts.rpt_telemetry_problems where problem = 'twin'"
    )
    assert [row["record_count"] for row in twins] == [len(COPILOT_FACTS) + 1]


def test_copilots_twins_count_once_across_midnight(emitted: WorkspaceUnderTest) -> None:
    votes = emitted.query(
        "select event_date from marts.fct_feedback where response_id = 'r9' order by all"
    )
    assert votes == [{"event_date": DAYS["midnight"].date() - timedelta(days=1)}]


def test_copilots_votes_and_edits_are_feedback(emitted: WorkspaceUnderTest) -> None:
    columns = "feedback_kind, label, score, response_id"
    assert rows(emitted, "copilot", columns, "fct_feedback") == [
        ("edit_feedback", "accepted", 1.0, "r1"),
        ("edit_feedback", "rejected", 0.0, "r2"),
        ("edit_hunk", "accepted", 1.0, "r1"),
        ("edit_hunk", "rejected", 0.0, "r2"),
        ("edit_survival", None, 0.75, "r1"),
        ("rating", "positive", 1.0, "r1"),
    ]


def test_copilots_inline_chats_are_decided_suggestions(emitted: WorkspaceUnderTest) -> None:
    columns = "is_shown, is_accepted, code_language"
    assert rows(emitted, "copilot", columns, "fct_suggestions") == [
        (False, False, "python"),
        (False, True, "go"),
    ]


def test_copilots_user_actions_are_response_events(emitted: WorkspaceUnderTest) -> None:
    assert rows(emitted, "copilot", "action", "fct_response_events") == [
        ("applied",),
        ("applied",),
        ("copied",),
        ("copied",),
        ("copied",),
        ("followed_up",),
    ]


def test_copilots_logged_calls_count_without_spans(emitted: WorkspaceUnderTest) -> None:
    columns = "tool_name, duration_ms, has_error, error_type"
    assert rows(emitted, "copilot", columns, "fct_tool_calls") == [
        ("readFile", 12.0, False, None),
        ("readFile", 12.0, False, None),
        ("readFile", 12.0, False, None),
        ("runCommand", 900.0, True, "Timeout"),
    ]
    columns = "model_call_count, input_tokens, output_tokens"
    assert rows(emitted, "copilot", columns, "fct_assistant_turns") == [(1, 100, 20)]
    sessions = rows(emitted, "copilot", "event_name", "fct_events")
    assert sessions.count(("assistant.session.started",)) == 1


def test_copilots_logged_calls_count_once_beside_their_spans(emitted: WorkspaceUnderTest) -> None:
    assert rows(emitted, "copilot_traced", "tool_name", "fct_tool_calls") == [("readFile",)]
    columns = "model_call_count, input_tokens, output_tokens"
    assert rows(emitted, "copilot_traced", columns, "fct_assistant_turns") == [(1, 7, 3)]


def test_claudes_prompts_are_turns(emitted: WorkspaceUnderTest) -> None:
    columns = (
        "trace_id, model, model_call_count, input_tokens, output_tokens, cost_usd, duration_ms, "
        "has_error, error_type"
    )
    assert rows(emitted, "claude", columns, "fct_assistant_turns") == [
        ("p1", "claude-x", 2, 200, 20, 0.75, 1000.0, False, None),
        ("p2", "claude-x", 1, None, None, None, 50.0, True, "529"),
    ]


def test_claudes_permissions_are_decisions_where_the_user_decides(
    emitted: WorkspaceUnderTest,
) -> None:
    assert rows(emitted, "claude", "suggestion_id, is_accepted", "fct_suggestions") == [
        ("t1", True),
        ("t2", False),
    ]
    names = rows(emitted, "claude", "event_name", "fct_events")
    assert names.count(("assistant.tool.permission",)) == 1
    assert names.count(("assistant.prompt.submitted",)) == 2


def test_claudes_tool_results_are_tool_calls(emitted: WorkspaceUnderTest) -> None:
    columns = "tool_name, duration_ms, has_error, error_type, trace_id"
    assert rows(emitted, "claude", columns, "fct_tool_calls") == [
        ("Edit", 30.0, False, None, "p1"),
        ("Read", 5.0, True, "Error:ENOENT", "p1"),
    ]
    assert rows(emitted, "claude", "action, response_id", "fct_response_events") == [
        ("shown", "req_1")
    ]


def test_no_text_of_a_prompt_is_kept(emitted: WorkspaceUnderTest) -> None:
    records = emitted.query("select attributes::text as text from marts.fct_events")
    assert records
    assert not [row for row in records if SECRET in row["text"] or "grace" in row["text"]]


def test_flags_of_every_dialect_and_shape_expose_once(emitted: WorkspaceUnderTest) -> None:
    exposures = emitted.query(
        "select flag_key, variant, record_count from intermediate.int_exposures_merged "
        "where exposed_at::date = ? order by all",
        DAYS["flags"].date(),
    )
    assert [tuple(row.values()) for row in exposures] == [
        (key, "on", 2) for key in sorted(FLAG_DIALECTS)
    ]


def test_genai_names_of_then_and_now_are_the_same_turn(emitted: WorkspaceUnderTest) -> None:
    columns = "provider, model, input_tokens, output_tokens, duration_ms"
    assert (
        rows(emitted, "genai", columns, "fct_assistant_turns")
        == [("openai", "gpt-x", 11, 5, 1000.0)] * 2
    )


def test_the_collectors_files_are_read_whatever_they_are_packed_in(
    emitted: WorkspaceUnderTest,
) -> None:
    assert rows(emitted, "collector", "label", "fct_feedback") == [("positive",)] * 4


def test_the_editors_own_dialect_reaches_the_marts(emitted: WorkspaceUnderTest) -> None:
    assert rows(emitted, "vscode", "label, score", "fct_feedback") == [("negative", 0.0)]
    columns = "tool_name, duration_ms"
    assert rows(emitted, "vscode", columns, "fct_tool_calls") == [("readFile", 2500.0)]


def test_a_live_sdk_and_a_live_flag_client_reach_the_marts(emitted: WorkspaceUnderTest) -> None:
    exposures = emitted.query(
        "select flag_key, variant, record_count from intermediate.int_exposures_merged "
        "where flag_key in ('live-model', 'no-such-flag')"
    )
    # the hook's span event and the log event are one exposure; an unknown flag exposes nobody
    assert exposures == [{"flag_key": "live-model", "variant": "treatment", "record_count": 2}]
    turns = emitted.query(
        "select provider, input_tokens, feedback.label from marts.fct_assistant_turns as turns "
        "join marts.fct_feedback as feedback using (trace_id, user_id) where feedback.label = ?",
        "positive",
    )
    assert turns == [{"provider": "openai", "input_tokens": 9, "label": "positive"}]


def test_every_event_is_in_the_plan(emitted: WorkspaceUnderTest) -> None:
    problems = emitted.query(
        "select file_name, problem, record_count from marts.rpt_telemetry_problems "
        "where problem in ('unknown_event', 'wrong_type') order by all"
    )
    assert [json.dumps(row) for row in problems] == []
