"""Files as real emitters write them, in every dialect they speak.

Each emitter has a date of its own, so that its rows are found without their pseudonyms.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import zstandard
from openfeature import api
from openfeature.contrib.hook.opentelemetry import TracingHook
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orchestration.receiver.decode import LOGS, TRACES, line_of_protobuf
from tests.orchestration.ingest.otlp import attribute, lines, log, request, span_request

DAYS = {
    name: datetime(2026, 5, day, 10, tzinfo=UTC)
    for day, name in enumerate(
        ("copilot", "copilot_traced", "claude", "flags", "genai", "collector", "vscode"), 1
    )
}
DAYS["midnight"] = datetime(2026, 6, 2, tzinfo=UTC)
COPILOT = {"service.name": "copilot-chat", "service.version": "0.59.0", "session.id": "window-1"}
CLAUDE = {"service.name": "claude-code", "service.version": "2.1.283"}
SECRET = "the prompt that nobody may keep"


def nanos(day: str, seconds: float = 0) -> int:
    """A time on an emitter's day."""
    return int((DAYS[day] + timedelta(seconds=seconds)).timestamp() * 1_000_000) * 1000


def copilot_log(name: str, seconds: float, day: str = "copilot", **values: Any) -> Any:
    """A log record as Copilot writes it: the name stands in an attribute, and in the body."""
    trace = {"traceId": values.pop("trace")} if "trace" in values else {}
    return log(
        "",
        nanos=nanos(day, seconds),
        attributes={"event.name": name, "user.id": "ada", **values},
        body={"stringValue": f"{name}: something"},
        **trace,
    )


# name without prefix, seconds after the start, attributes
COPILOT_FACTS: list[tuple[str, float, dict[str, Any]]] = [
    ("session.start", 0, {"session.id": "chat-1", "gen_ai.request.model": "gpt-x"}),
    (
        "user.feedback",
        10,
        {"rating": "positive", "participant": "copilot", "conversation_id": "c1"}
        | {"request_id": "r1"},
    ),
    (
        "edit.feedback",
        20,
        {"outcome": "accepted", "language_id": "go", "request_id": "r1", "is_notebook": False},
    ),
    ("edit.feedback", 21, {"outcome": "rejected", "language_id": "go", "request_id": "r2"}),
    ("edit.hunk.action", 30, {"outcome": "accepted", "request_id": "r1", "lines_added": 3}),
    ("edit.hunk.action", 31, {"outcome": "rejected", "request_id": "r2", "lines_added": 1}),
    (
        "edit.survival",
        40,
        {"survival_rate_four_gram": 0.75, "survival_rate_no_revert": 1.0, "time_delay_ms": 30000}
        | {"request_id": "r1", "did_branch_change": False},
    ),
    ("inline.done", 50, {"accepted": True, "language_id": "go", "edit_count": 2}),
    ("inline.done", 51, {"accepted": False, "language_id": "python", "edit_count": 1}),
    ("user.action", 60, {"action": "copy", "language_id": "go", "character_count": 40}),
    ("user.action", 61, {"action": "insert", "language_id": "go"}),
    ("user.action", 62, {"action": "apply", "language_id": "go"}),
    ("user.action", 63, {"action": "followup"}),
    # the same call three times, far apart and at once, is three calls
    ("tool.call", 70, {"gen_ai.tool.name": "readFile", "duration_ms": 12, "success": True}),
    ("tool.call", 70.2, {"gen_ai.tool.name": "readFile", "duration_ms": 12, "success": True}),
    ("tool.call", 130, {"gen_ai.tool.name": "readFile", "duration_ms": 12, "success": True}),
    (
        "tool.call",
        140,
        {"gen_ai.tool.name": "runCommand", "duration_ms": 900, "success": False}
        | {"error.type": "Timeout"},
    ),
    (
        "agent.turn",
        150,
        {"turn.index": 0, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
        | {"tool_call_count": 4},
    ),
]


def copilot_files() -> tuple[bytes, bytes]:
    """Everything twice, under the first names and, some microseconds later, under the second."""
    first = [
        copilot_log(f"copilot_chat.{name}", seconds, **values)
        for name, seconds, values in COPILOT_FACTS
    ]
    second = [
        copilot_log(f"github.copilot.{name}", seconds + 0.00004, **values)
        for name, seconds, values in COPILOT_FACTS
    ]
    # no twins: each was said once, hours apart
    first.append(copilot_log("copilot_chat.user.action", 3600, action="copy"))
    second.append(copilot_log("github.copilot.user.action", 9000, action="copy"))
    # one vote, its second name a moment after midnight
    vote = {"rating": "negative", "participant": "copilot", "request_id": "r9"}
    first.append(copilot_log("copilot_chat.user.feedback", -0.00002, day="midnight", **vote))
    second.append(copilot_log("github.copilot.user.feedback", 0.00002, day="midnight", **vote))
    return (
        lines(request(*first, resource=COPILOT)),
        lines(request(*reversed(second), resource=COPILOT)),
    )


def span(name: str, day: str, trace: str, number: int, start: float, **values: Any) -> Any:
    """A span of one second; spans of a trace are numbered."""
    events, parent = values.pop("events", []), values.pop("parent", 0)
    return {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(nanos(day, start)),
        "endTimeUnixNano": str(nanos(day, start + 1)),
        "attributes": [attribute(key, value) for key, value in values.items()],
        "events": events,
    }


def copilot_traced_file() -> bytes:
    """Spans, and log events that say the same again: inside the trace and outside of any."""
    day, trace = "copilot_traced", "a" * 32
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    tool = {"gen_ai.tool.name": "readFile"}
    spans = [
        span("invoke_agent", day, trace, 1, 0, **{"gen_ai.operation.name": "invoke_agent"}),
        span("chat", day, trace, 2, 1, parent=1, **{"gen_ai.operation.name": "chat"}, **usage),
        span(
            "execute_tool", day, trace, 3, 2, parent=1,
            **{"gen_ai.operation.name": "execute_tool"}, **tool,
        ),
    ]  # fmt: skip
    logs = [
        copilot_log("copilot_chat.tool.call", 3, day, trace=trace, success=True, **tool),
        copilot_log("copilot_chat.tool.call", 4, day, success=True, **tool),
        copilot_log("copilot_chat.agent.turn", 5, day, trace=trace, **usage),
        copilot_log("copilot_chat.agent.turn", 6, day, **usage),
    ]
    return lines(span_request(*spans, resource=COPILOT), request(*logs, resource=COPILOT))


def claude_log(name: str, seconds: float, prompt_id: str, **values: Any) -> Any:
    """A log record as Claude Code writes it: the name's prefix stands in the body only."""
    return log(
        "",
        nanos=nanos("claude", seconds),
        attributes={
            "event.name": name,
            "event.sequence": int(seconds),
            "prompt.id": prompt_id,
            "user.id": "grace",
            "user.email": "grace@example.com",
            "session.id": "claude-session",
            **values,
        },
        body={"stringValue": f"claude_code.{name}"},
    )


def claude_file() -> bytes:
    """Two prompts: one answered with tools, one that failed."""
    request_1 = {"model": "claude-x", "input_tokens": 100, "output_tokens": 10}
    return lines(
        request(
            claude_log("user_prompt", 1, "p1", prompt_length=31, prompt=SECRET),
            claude_log("api_request", 2, "p1", cost_usd=0.25, duration_ms=800, **request_1),
            claude_log(
                "tool_decision", 3, "p1",
                tool_name="Edit", tool_use_id="t1", decision="accept", source="user_temporary",
            ),
            claude_log(
                "tool_result", 4, "p1",
                tool_name="Edit", tool_use_id="t1", success="true", duration_ms="30",
                tool_input=SECRET,
            ),
            claude_log(
                "tool_decision", 5, "p1",
                tool_name="Bash", tool_use_id="t2", decision="reject", source="user_reject",
            ),
            claude_log(
                "tool_decision", 6, "p1",
                tool_name="Read", tool_use_id="t3", decision="accept", source="config",
            ),
            claude_log(
                "tool_result", 7, "p1",
                tool_name="Read", tool_use_id="t3", success="false", duration_ms="5",
                error_type="Error:ENOENT", error=SECRET,
            ),
            claude_log("api_request", 8, "p1", cost_usd=0.5, duration_ms=200, **request_1),
            claude_log("assistant_response", 9, "p1", response=SECRET, request_id="req_1"),
            claude_log("user_prompt", 20, "p2", prompt_length=3, command_name="compact"),
            claude_log(
                "api_error", 21, "p2",
                model="claude-x", status_code=529, duration_ms=50, attempt=2, error=SECRET,
            ),
            resource=CLAUDE,
        )
    )  # fmt: skip


FLAG_DIALECTS: dict[str, tuple[str, dict[str, str]]] = {
    "flag-before-1.32": (
        "feature_flag",
        {"feature_flag.provider_name": "p", "feature_flag.variant": "on"},
    ),
    "flag-1.32": (
        "feature_flag.evaluation",
        {"feature_flag.evaluation.variant": "on", "feature_flag.evaluation.reason": "split"},
    ),
    "flag-1.34": (
        "feature_flag.evaluation",
        {"feature_flag.result.variant": "on", "feature_flag.result.reason": "split"},
    ),
}


def flags_file() -> bytes:
    """Each dialect as the event of a span and as a log event of its trace."""
    logs, spans = [], []
    for number, (key, (name, values)) in enumerate(FLAG_DIALECTS.items(), 1):
        trace = f"{number:032x}"
        attributes = {"feature_flag.key": key, "feature_flag.context.id": "ada", **values}
        event = {
            "name": name,
            "timeUnixNano": str(nanos("flags", number)),
            "attributes": [attribute(*pair) for pair in attributes.items()],
        }
        spans.append(
            span(
                "chat",
                "flags",
                trace,
                1,
                number,
                events=[event],
                **{"gen_ai.operation.name": "chat"},
            )
        )
        logs.append(
            log(
                name,
                nanos=nanos("flags", number) + 2000,
                attributes=attributes,
                traceId=trace,
                spanId=f"{1:016x}",
            )
        )
    return lines(request(*logs, resource={}), span_request(*spans, resource={}))


def genai_file() -> bytes:
    """One call under the names of 2024 and one under those of today."""
    old = {
        "llm.request.type": "chat",
        "gen_ai.system": "openai",
        "gen_ai.usage.prompt_tokens": 11,
        "gen_ai.usage.completion_tokens": 5,
    }
    new = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
    }
    common = {"gen_ai.request.model": "gpt-x", "user.id": "ada"}
    return lines(
        span_request(
            span("openai.chat", "genai", "b" * 32, 1, 0, **common, **old),
            span("chat gpt-x", "genai", "c" * 32, 1, 10, **common, **new),
        )
    )


def collector_files() -> dict[str, bytes]:
    """What the Collector's file exporter leaves: the file itself and those it rotated away."""
    names = (
        "telemetry.jsonl",
        "telemetry-2026-05-06T09-00-00.000.jsonl",
        "telemetry-2026-05-06T08-00-00.000.jsonl.gz",
        "telemetry-2026-05-06T07-00-00.000.jsonl.zst",
    )
    files = {}
    for number, name in enumerate(names):
        rating = {"rating": "positive", "user.id": f"user-{number}"}
        record = log("assistant.feedback", nanos=nanos("collector", number), attributes=rating)
        content = lines(request(record))
        if name.endswith(".gz"):
            content = gzip.compress(content)
        elif name.endswith(".zst"):
            content = zstandard.compress(content)
        files[name] = content
    return files


def vscode_file() -> bytes:
    """VS Code's own file exporter: SDK objects, a record or span in a line."""
    seconds = nanos("vscode") // 1_000_000_000
    resource = {"_rawAttributes": [["service.name", "copilot-chat"], ["session.id", "window-2"]]}
    return lines(
        {
            "resource": resource,
            "instrumentationScope": {"name": "copilot-chat", "version": "0.59.0"},
            "attributes": {"event.name": "copilot_chat.user.feedback", "rating": "negative"},
            "_hrTime": [seconds, 0],
            "_hrTimeObserved": [seconds, 0],
            "_body": "copilot_chat.user.feedback: negative",
        },
        {
            "traceId": "d" * 32,
            "spanId": "e" * 16,
            "traceFlags": 1,
            "name": "execute_tool readFile",
            "kind": 0,
            "startTime": [seconds, 0],
            "endTime": [seconds + 2, 500_000_000],
            "attributes": {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "readFile",
            },
            "status": {"code": 0},
            "events": [],
            "links": [],
            "resource": {"attributes": {"service.name": "copilot-chat", "session.id": "window-2"}},
        },
    )


def live_sdk_file() -> bytes:
    """What a live OpenTelemetry SDK and OpenFeature client emit, as the receiver writes it."""
    resource = Resource.create({"service.name": "live-assistant", "session.id": "w-17"})
    log_exporter, span_exporter = InMemoryLogRecordExporter(), InMemorySpanExporter()  # type: ignore[no-untyped-call]
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(span_exporter))
    logger, tracer = loggers.get_logger("live"), tracers.get_tracer("live")

    flag = InMemoryFlag("treatment", {"treatment": "large", "control": "small"})
    api.set_provider(InMemoryProvider({"live-model": flag}), domain="live")
    client = api.get_client(domain="live")
    client.add_hooks([TracingHook()])
    with tracer.start_as_current_span(
        "chat gpt-x",
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-x",
            "gen_ai.usage.input_tokens": 9,
            "user.id": "u-lin",
        },
    ):
        context = EvaluationContext(targeting_key="u-lin")
        assert client.get_string_value("live-model", "small", context) == "large"
        assert client.get_string_value("no-such-flag", "small", context) == "small"
        logger.emit(
            LogRecord(
                event_name="feature_flag.evaluation",
                attributes={
                    "feature_flag.key": "live-model",
                    "feature_flag.result.variant": "treatment",
                    "feature_flag.result.reason": "static",
                    "feature_flag.context.id": "u-lin",
                },
            )
        )
        logger.emit(
            LogRecord(
                event_name="assistant.feedback",
                attributes={"rating": "positive", "user.id": "u-lin"},
            )
        )
    api.clear_providers()
    sent = (
        line_of_protobuf(encode_logs(log_exporter.get_finished_logs()).SerializeToString(), LOGS),
        line_of_protobuf(
            encode_spans(span_exporter.get_finished_spans()).SerializeToString(), TRACES
        ),
    )
    tracers.shutdown()
    loggers.shutdown()
    return b"".join(line + b"\n" for line in sent)


def files() -> dict[str, bytes]:
    """Every emitter's files: name -> content."""
    first_names, second_names = copilot_files()
    return {
        "copilot-first-names.jsonl": first_names,
        "copilot-second-names.jsonl": second_names,
        "copilot-traced.jsonl": copilot_traced_file(),
        "claude.jsonl": claude_file(),
        "flags.jsonl": flags_file(),
        "genai.jsonl": genai_file(),
        "vscode.jsonl": vscode_file(),
        "live-sdk.jsonl": live_sdk_file(),
        **collector_files(),
    }
