"""VS Code's own file dialect gives the rows that OTLP/JSON of the same records gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.ingest import load_inbox
from orchestration.ingest.strict import Refusal, read_line
from tests.orchestration.ingest.otlp import attribute, lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.orchestration.ingest.otlp import Query

SECONDS, NANOS = 1_795_392_719, 56_000_000
TIME = str(SECONDS * 1_000_000_000 + NANOS)
TRACE, SPAN, PARENT = "627655daa05f11193ceaaf308142c8ea", "9dfb369bab13dfae", "6301bbfca0c5154e"
SCOPE = {"name": "copilot-chat", "version": "0.59.0"}
RAW_RESOURCE = {
    "_rawAttributes": [
        ["service.name", "copilot-chat"],
        ["session.id", "w1"],
        ["session.id", "w2"],
    ],
    "_asyncAttributesPending": False,
}
RESOURCE = {
    "attributes": [attribute("service.name", "copilot-chat"), attribute("session.id", "w1")]
}
VALUES: dict[str, Any] = {
    "event.name": "copilot_chat.edit.survival",
    "user.id": "ada",
    "survival_rate_four_gram": 0.91,
    "time_delay_ms": 30000,
    "did_branch_change": False,
    "tags": ["a", 1, {"deep": True}],
    "unset": None,
}
OTLP_VALUES = [
    attribute("event.name", "copilot_chat.edit.survival"),
    attribute("user.id", "ada"),
    attribute("survival_rate_four_gram", 0.91),
    attribute("time_delay_ms", 30000),
    attribute("did_branch_change", False),
    attribute(
        "tags",
        {
            "arrayValue": {
                "values": [
                    {"stringValue": "a"},
                    {"intValue": "1"},
                    {"kvlistValue": {"values": [attribute("deep", True)]}},
                ]
            }
        },
    ),
]
LOG = {
    "resource": RAW_RESOURCE,
    "instrumentationScope": SCOPE,
    "attributes": VALUES,
    "_hrTime": [SECONDS, NANOS],
    "_hrTimeObserved": [SECONDS, NANOS + 1000],
    "_spanContext": {"traceId": TRACE, "spanId": SPAN, "traceFlags": 1},
    "_severityNumber": 9,
    "_body": "copilot_chat.edit.survival: apply_patch",
    "_attributesCount": 6,
    "_droppedAttributesCount": 2,
    "_isReadonly": True,
}
OTLP_LOG = {
    "resourceLogs": [
        {
            "resource": RESOURCE,
            "scopeLogs": [
                {
                    "scope": SCOPE,
                    "logRecords": [
                        {
                            "timeUnixNano": TIME,
                            "observedTimeUnixNano": str(int(TIME) + 1000),
                            "severityNumber": 9,
                            "body": {"stringValue": "copilot_chat.edit.survival: apply_patch"},
                            "attributes": OTLP_VALUES,
                            "droppedAttributesCount": 2,
                            "flags": 1,
                            "traceId": TRACE,
                            "spanId": SPAN,
                        }
                    ],
                }
            ],
        }
    ]
}
SPAN_PARTS = {
    "name": "execute_tool readFile",
    "kind": 0,
    "startTime": [SECONDS, NANOS],
    "endTime": [SECONDS + 1, NANOS],
    "duration": [1, 0],
    "status": {"code": 2, "message": "no"},
    "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "readFile"},
    "events": [{"name": "checked", "time": [SECONDS, NANOS], "attributes": {"result": "ok"}}],
    "links": [],
}
SPANS = {
    "snapshot": {
        "traceId": TRACE,
        "spanId": SPAN,
        "traceFlags": 1,
        "parentSpanContext": {"traceId": TRACE, "spanId": PARENT, "traceFlags": 1},
        **SPAN_PARTS,
        "resource": {"attributes": {"service.name": "copilot-chat", "session.id": "w1"}},
        "instrumentationScope": SCOPE,
    },
    "earlier snapshot": {
        "resource": {"attributes": {"service.name": "copilot-chat", "session.id": "w1"}},
        "instrumentationScope": SCOPE,
        "traceId": TRACE,
        "spanId": SPAN,
        "traceFlags": 1,
        "parentSpanId": PARENT,
        **SPAN_PARTS,
    },
    "the SDK's own object": {
        "_spanContext": {"traceId": TRACE, "spanId": SPAN, "traceFlags": 1},
        "parentSpanContext": {"traceId": TRACE, "spanId": PARENT, "traceFlags": 1},
        **SPAN_PARTS,
        "resource": RAW_RESOURCE,
        "instrumentationScope": SCOPE,
    },
}
OTLP_SPAN = {
    "resourceSpans": [
        {
            "resource": RESOURCE,
            "scopeSpans": [
                {
                    "scope": SCOPE,
                    "spans": [
                        {
                            "traceId": TRACE,
                            "spanId": SPAN,
                            "parentSpanId": PARENT,
                            "flags": 0x101,
                            "name": "execute_tool readFile",
                            "kind": 1,
                            "startTimeUnixNano": TIME,
                            "endTimeUnixNano": str(int(TIME) + 1_000_000_000),
                            "status": {"code": 2, "message": "no"},
                            "attributes": [
                                attribute("gen_ai.operation.name", "execute_tool"),
                                attribute("gen_ai.tool.name", "readFile"),
                            ],
                            "events": [
                                {
                                    "name": "checked",
                                    "timeUnixNano": TIME,
                                    "attributes": [attribute("result", "ok")],
                                }
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
OF_THE_FILE = "loaded_at, batch_id, line_number, record_number"


@pytest.mark.parametrize("dialect", [LOG, *SPANS.values()], ids=["log", *SPANS])
def test_a_record_gives_the_rows_of_its_export(
    home: Path, declarations: Path, query: Query, dialect: dict[str, Any]
) -> None:
    export = OTLP_LOG if dialect is LOG else OTLP_SPAN
    (home / "inbox" / "1.jsonl").write_bytes(lines(dialect))
    (home / "inbox" / "2.jsonl").write_bytes(lines(export))
    report = load_inbox(home, declarations)
    assert report.rejected == {}
    assert [(file.log_records, file.spans) for file in report.files] == [
        (1, 0) if dialect is LOG else (0, 1)
    ] * 2
    for table in ("log_records", "spans"):
        rows = query(f"select distinct * exclude ({OF_THE_FILE}) from {table}")
        copies = query(f"select count(*) from {table}")[0][0]
        assert len(rows) * 2 == copies


def test_the_editors_sample_is_loaded_whole(
    home: Path, declarations: Path, shared_dir: Path, query: Query
) -> None:
    sample = shared_dir / "real" / "otlp_sample" / "vscode_file_exporter_sample.jsonl"
    (home / "inbox" / sample.name).write_bytes(sample.read_bytes())
    report = load_inbox(home, declarations)
    assert (report.files[0].records_in, report.rejected) == (2, {})
    assert query(
        "select event_name, service_name, session_id is not null, "
        "attributes['survival_rate_four_gram'], occurred_at::text from log_records order by all"
    ) == [
        ("copilot_chat.edit.survival", "copilot-chat", True, "0.91", "2026-11-23 00:11:59.057"),
        ("copilot_chat.user.feedback", "copilot-chat", True, None, "2026-11-23 00:11:59.056"),
    ]


def test_dialects_may_be_mixed_and_keep_their_line_numbers(
    home: Path, declarations: Path, query: Query
) -> None:
    (home / "inbox" / "mixed.jsonl").write_bytes(
        lines(OTLP_SPAN, LOG, {"resource": {}, "scopeMetrics": []}, OTLP_LOG, {})
    )
    report = load_inbox(home, declarations)
    assert (report.files[0].records_in, report.rejected) == (5, {"not_an_export_request": 2})
    assert query("select line_number from log_records where not is_span_event order by all") == [
        (2,),
        (4,),
    ]
    assert query("select line_number from rejections order by all") == [(3,), (5,)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_hrTime": [SECONDS, -1]}, "invalid_time"),
        ({"_hrTime": [1, 0]}, "time_out_of_range"),
        ({"_hrTime": [0, 0], "_hrTimeObserved": [0, 0]}, "missing_time"),
        ({"attributes": []}, "not_an_export_request"),
        ({"resource": {"_rawAttributes": ["x"]}}, "not_an_export_request"),
    ],
)
def test_a_faulty_record_is_refused_by_name(
    home: Path, declarations: Path, change: dict[str, Any], reason: str
) -> None:
    (home / "inbox" / "1.jsonl").write_bytes(lines({**LOG, **change}))
    assert load_inbox(home, declarations).rejected == {reason: 1}


def test_nesting_beyond_reason_is_refused() -> None:
    raw = json.dumps(LOG).replace('"unset": null', '"deep": ' + "[" * 900 + "]" * 900)
    assert read_line(raw.encode()) == Refusal("not_an_export_request", "nested too deep")
