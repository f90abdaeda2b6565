"""Turns a block of behaviour into OTLP/JSON records.

Records are formatted straight into text: building nested objects and serialising them would take
ten times as long. Every value that is formatted here is a number or a name of the simulator's own,
so nothing needs escaping; tests parse every line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from simulator import planted
from simulator.behaviour import (
    ACCEPTED,
    NO_FEEDBACK,
    SESSION_SLOTS,
    UNDECIDED,
    USERS_PER_BLOCK,
    DayBlock,
)
from simulator.population import (
    DAY_US,
    HOUR_US,
    STREAM_ENCODING,
    BoolArray,
    Control,
    IntArray,
    Population,
    generator,
)

SERVICE_NAME: Final = "assistant"
INTERNAL_SERVICE_NAME: Final = "internal-canary"
TURN_ERRORS: Final = ("timeout", "rate_limit_exceeded", "server_error")
TOOLS: Final = ("search_files", "read_file", "run_tests", "web_search")
MALFORMED_LINES: Final = (
    b'{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[{"logRecords":[{"timeUn',
    b'{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[],"schemaUrl":"\xff\xfe"}]}',
    b'{"message":"collector restarted","level":"info"}',
)


def text(key: str, value: str) -> str:
    """A string attribute."""
    return f'{{"key":"{key}","value":{{"stringValue":"{value}"}}}}'


def boolean(key: str, value: bool) -> str:
    """A boolean attribute."""
    return f'{{"key":"{key}","value":{{"boolValue":{"true" if value else "false"}}}}}'


def resource(service_name: str) -> str:
    """The resource of a service."""
    attributes = ",".join(
        (
            text("service.name", service_name),
            text("service.version", "1.4.0"),
            text("deployment.environment.name", "production"),
        )
    )
    return f'{{"attributes":[{attributes}]}}'


def logs_line(records: list[str], service_name: str = SERVICE_NAME) -> bytes:
    """One export request with log records, ended by a line feed."""
    return (
        f'{{"resourceLogs":[{{"resource":{resource(service_name)},"scopeLogs":[{{"scope":'
        f'{{"name":"assistant.app","version":"1"}},"logRecords":[{",".join(records)}]}}]}}]}}\n'
    ).encode()


def spans_line(records: list[str]) -> bytes:
    """One export request with spans, ended by a line feed."""
    return (
        f'{{"resourceSpans":[{{"resource":{resource(SERVICE_NAME)},"scopeSpans":[{{"scope":'
        f'{{"name":"assistant.app","version":"1"}},"spans":[{",".join(records)}]}}]}}]}}\n'
    ).encode()


@dataclass
class Outbox:
    """Records of one signal on their way to files: when each arrives, and in the file of what day.

    `duplicates` are second copies of records that are in the outbox as well.
    """

    day: int
    days: int
    observed_us: list[int] = field(default_factory=list)
    file_day: list[int] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    duplicates: list[tuple[int, str]] = field(default_factory=list)

    def extend(
        self, records: list[str], observed_us: Iterable[int], file_day: Iterable[int]
    ) -> None:
        """Adds records with the time (microseconds since the epoch) they were observed."""
        self.records.extend(records)
        self.observed_us.extend(observed_us)
        self.file_day.extend(file_day)


@dataclass(frozen=True)
class EncodedBlock:
    """All records of one day of one block of users."""

    logs: Outbox
    spans: Outbox
    internal: list[str]
    undeclared: int
    bots: int
    resent: int


class _Encoder:
    """Formats the records of one block; keeps what they share."""

    def __init__(self, population: Population, block: DayBlock, faults: bool) -> None:
        self.population = population
        self.block = block
        self.faults = faults
        self.rng = generator(
            population.seed, STREAM_ENCODING, population.days, block.day, block.block
        )
        start = datetime.combine(population.start, datetime.min.time(), tzinfo=UTC)
        self.day_us = int(start.timestamp()) * 1_000_000 + block.day * DAY_US
        self.logs = Outbox(block.day, population.days)
        self.spans = Outbox(block.day, population.days)
        users = block.user.tolist()
        anonymous = block.is_anonymous.tolist()
        self.unit = [
            population.anonymous_ids[user] if hidden else population.user_ids[user]
            for user, hidden in zip(users, anonymous, strict=True)
        ]
        sessions = self.hex_ids(8, len(users) * SESSION_SLOTS)
        self.session_id = sessions
        self.session = [text("session.id", session) for session in sessions]
        key = ("user.id", "enduser.pseudo.id")
        who = [text(key[hidden], unit) for unit, hidden in zip(self.unit, anonymous, strict=True)]
        self.context = [
            f"{who[index // SESSION_SLOTS]},{session}" for index, session in enumerate(self.session)
        ]

    def hex_ids(self, size: int, count: int) -> list[str]:
        """Random identifiers of `size` bytes as lower-case hex."""
        digits = self.rng.bytes(size * count).hex()
        return [digits[at : at + 2 * size] for at in range(0, 2 * size * count, 2 * size)]

    def arrive(
        self, time_us: IntArray, late_share: float = planted.LATE_SHARE
    ) -> tuple[IntArray, IntArray]:
        """Observation times (since the epoch) and file days of records with these event times."""
        size = len(time_us)
        observed = self.day_us + time_us + self.rng.integers(1_000, 2_000_000, size)
        lag = self.rng.integers(1, planted.MAX_LATE_DAYS + 1, size)
        at = self.rng.integers(0, 6 * HOUR_US, size)
        is_late = self.rng.random(size) < (late_share if self.faults else 0.0)
        is_late &= self.block.day + lag < self.population.days
        observed = np.where(is_late, self.day_us + lag * DAY_US + at, observed)
        return observed, self.block.day + np.where(is_late, lag, 0)

    def log(
        self,
        event_name: str,
        time_us: IntArray,
        attributes: list[str],
        trace_ids: list[str] | None = None,
        span_ids: list[str] | None = None,
        late_share: float = planted.LATE_SHARE,
    ) -> tuple[IntArray, IntArray]:
        """Adds log records, each with a time of day and its attributes as text.

        Returns when each was observed (since the epoch) and the day of the file it is in.
        """
        observed, file_day = self.arrive(time_us, late_share)
        absent = [""] * len(attributes)
        observed_list = observed.tolist()
        tail = f'","eventName":"{event_name}"}}'
        records = [
            f'{{"timeUnixNano":"{time}000","observedTimeUnixNano":"{seen}000","severityNumber":9,'
            f'"body":{{}},"attributes":[{attribute}],"traceId":"{trace}","spanId":"{span}{tail}'
            for time, seen, attribute, trace, span in zip(
                (self.day_us + time_us).tolist(),
                observed_list,
                attributes,
                trace_ids or absent,
                span_ids or absent,
                strict=True,
            )
        ]
        self.logs.extend(records, observed_list, file_day.tolist())
        return observed, file_day

    def encode(self) -> EncodedBlock:
        """Formats the whole block."""
        turns = self.block.turns
        size = len(turns.row)
        trace_ids, agent_ids, chat_ids, tool_ids = (
            self.hex_ids(width, size) for width in (16, 8, 8, 8)
        )
        events = self.exposures(trace_ids, agent_ids)
        self.turn_spans(trace_ids, agent_ids, chat_ids, tool_ids, events)
        self.decisions(trace_ids, agent_ids)
        resent = self.responses(trace_ids, agent_ids)
        self.suggestions()
        self.controls()
        undeclared = bots = 0
        internal: list[str] = []
        if self.faults:
            undeclared = self.undeclared_events()
            if self.block.block == 0:
                bots = self.bots()
                internal = self.internal()
            for outbox in (self.logs, self.spans):
                self.duplicate(outbox)
        return EncodedBlock(self.logs, self.spans, internal, undeclared, bots, resent)

    def exposures(self, trace_ids: list[str], agent_ids: list[str]) -> list[str]:
        """Flag evaluations of the day; returns the span events that repeat some of them."""
        block, population = self.block, self.population
        user, rows = block.user, len(block.user)
        time_us = block.first_time_us
        opening_turn: dict[int, int] = {}
        for turn, row in enumerate(block.turns.row.tolist()):
            opening_turn.setdefault(row, turn)
        twin_turn = [
            opening_turn[row] if twin else -1 for row, twin in enumerate(block.has_twin.tolist())
        ]
        traces = [trace_ids[turn] if turn >= 0 else "" for turn in twin_turn]
        spans = [agent_ids[turn] if turn >= 0 else "" for turn in twin_turn]
        slots = (np.arange(rows) * SESSION_SLOTS + block.first_slot).tolist()
        suffix = [
            f"{text('feature_flag.context.id', unit)},{self.session[slot]},"
            f"{text('user.plan', planted.PLANS[plan])},{text('user.role', planted.ROLES[role])}"
            for unit, slot, plan, role in zip(
                self.unit,
                slots,
                population.plan[user].tolist(),
                population.role[user].tolist(),
                strict=True,
            )
        ]
        events = [""] * len(trace_ids)
        for column, experiment in enumerate(planted.EXPERIMENTS):
            variant = population.variant[user, column]
            is_reported = ~population.is_unreported[user, column]
            served = [_evaluation(experiment.name, name, "split") for name in experiment.variants]
            failed = _evaluation(experiment.name, experiment.variants[0], "error")
            failed += "," + text("error.type", "provider_not_ready")
            attributes = [
                f"{served[index]},{rest}"
                for index, rest in zip(variant.tolist(), suffix, strict=True)
            ]

            def add(chosen: BoolArray, delay_us: int, values: list[str]) -> None:
                at = np.flatnonzero(chosen)
                self.log(
                    "feature_flag.evaluation",
                    time_us[at] + delay_us,
                    [values[row] for row in at.tolist()],
                    [traces[row] for row in at.tolist()],
                    [spans[row] for row in at.tolist()],
                )

            add(is_reported, 0, attributes)
            errors = block.is_error_evaluation[:, column] & is_reported
            add(errors, 0, [f"{failed},{rest}" for rest in suffix])
            other = population.other_variant_from_day[user, column] <= block.day
            others = [served[(index + 1) % len(served)] for index in variant.tolist()]
            add(
                other,
                600_000_000,
                [f"{value},{rest}" for value, rest in zip(others, suffix, strict=True)],
            )
            for row in np.flatnonzero(is_reported & block.has_twin).tolist():
                turn = twin_turn[row]
                event = (
                    f'{{"timeUnixNano":"{self.day_us + int(time_us[row])}000",'
                    f'"name":"feature_flag.evaluation","attributes":[{attributes[row]}]}}'
                )
                events[turn] = f"{events[turn]},{event}" if events[turn] else event
        return [f'"events":[{event}],' if event else "" for event in events]

    def turn_spans(
        self,
        trace_ids: list[str],
        agent_ids: list[str],
        chat_ids: list[str],
        tool_ids: list[str],
        events: list[str],
    ) -> None:
        """The agent span of every turn, its chat span, and a tool span where a tool ran."""
        turns, population = self.block.turns, self.population
        size = len(turns.row)
        start = self.day_us + turns.time_us
        end = start + turns.duration_us
        chat_share = np.where(turns.has_tool, 0.6, 0.92)
        chat_start = start + turns.duration_us // 50
        chat_end = chat_start + (turns.duration_us * chat_share).astype(np.int64)
        tool_start = chat_end + turns.duration_us // 100
        tool_end = end - turns.duration_us // 100
        context = self.turn_context()
        error_kind = self.rng.integers(0, len(TURN_ERRORS), size).tolist()
        tool_kind = self.rng.integers(0, len(TOOLS), size).tolist()
        model_column = planted.EXPERIMENT_NAMES.index("chat-model")
        model = population.variant[self.block.user[turns.row], model_column].tolist()
        is_error = turns.is_error.tolist()
        failure = [
            (f",{text('error.type', name)}", f'"status":{{"message":"{name}","code":2}}')
            for name in TURN_ERRORS
        ]
        success = ("", '"status":{}')
        ends = [
            failure[kind] if bad else success
            for kind, bad in zip(error_kind, is_error, strict=True)
        ]

        agent = ",".join(
            (text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", SERVICE_NAME))
        )
        agent_spans = [
            f'{{"traceId":"{trace}","spanId":"{span}","flags":257,"name":"invoke_agent assistant",'
            f'"kind":1,"startTimeUnixNano":"{begin}000","endTimeUnixNano":"{finish}000",'
            f'"attributes":[{who},{agent}{outcome[0]}],{event}{outcome[1]}}}'
            for trace, span, begin, finish, who, outcome, event in zip(
                trace_ids, agent_ids, start.tolist(), end.tolist(), context, ends, events,
                strict=True,
            )
        ]  # fmt: skip
        self.add_spans(agent_spans, turns.time_us + turns.duration_us)

        chats = [
            ",".join(
                (
                    text("gen_ai.operation.name", "chat"),
                    text("gen_ai.provider.name", "assist"),
                    text("gen_ai.request.model", name),
                    text("gen_ai.response.model", name),
                )
            )
            for name in planted.MODELS
        ]
        finished = (
            ',{"key":"gen_ai.response.finish_reasons","value":'
            '{"arrayValue":{"values":[{"stringValue":"stop"}]}}}'
        )
        has_content = (self.rng.random(size) < planted.CONTENT_SHARE).tolist()
        content = [
            f",{text('gen_ai.input.messages', f'I am {self.unit[row]} and need help')}"
            if shown
            else ""
            for row, shown in zip(turns.row.tolist(), has_content, strict=True)
        ]
        usage = [
            ""
            if bad
            else f',{{"key":"gen_ai.usage.input_tokens","value":{{"intValue":"{tokens_in}"}}}},'
            f'{{"key":"gen_ai.usage.output_tokens","value":{{"intValue":"{tokens_out}"}}}}'
            f"{finished}"
            for bad, tokens_in, tokens_out in zip(
                is_error, turns.input_tokens.tolist(), turns.output_tokens.tolist(), strict=True
            )
        ]
        chat_spans = [
            f'{{"traceId":"{trace}","spanId":"{span}","parentSpanId":"{parent}","flags":257,'
            f'"name":"chat {planted.MODELS[kind]}","kind":3,"startTimeUnixNano":"{begin}000",'
            f'"endTimeUnixNano":"{finish}000","attributes":[{who},{chats[kind]}{tokens}{message}'
            f"{outcome[0]}],{outcome[1]}}}"
            for trace, span, parent, kind, begin, finish, who, tokens, message, outcome in zip(
                trace_ids, chat_ids, agent_ids, model, chat_start.tolist(), chat_end.tolist(),
                context, usage, content, ends, strict=True,
            )
        ]  # fmt: skip
        self.add_spans(chat_spans, turns.time_us + turns.duration_us)

        at = np.flatnonzero(turns.has_tool)
        tools = [
            f"{text('gen_ai.operation.name', 'execute_tool')},{text('gen_ai.tool.name', name)}"
            for name in TOOLS
        ]
        broken = (f",{text('error.type', 'tool_error')}", '"status":{"code":2}')
        tool_spans = [
            f'{{"traceId":"{trace_ids[turn]}","spanId":"{tool_ids[turn]}",'
            f'"parentSpanId":"{agent_ids[turn]}","flags":257,'
            f'"name":"execute_tool {TOOLS[tool_kind[turn]]}","kind":1,'
            f'"startTimeUnixNano":"{begin}000","endTimeUnixNano":"{finish}000",'
            f'"attributes":[{context[turn]},{tools[tool_kind[turn]]}'
            f"{(broken if bad else success)[0]}],{(broken if bad else success)[1]}}}"
            for turn, begin, finish, bad in zip(
                at.tolist(), tool_start[at].tolist(), tool_end[at].tolist(),
                turns.is_tool_error[at].tolist(), strict=True,
            )
        ]  # fmt: skip
        self.add_spans(tool_spans, turns.time_us[at] + turns.duration_us[at])

    def add_spans(self, records: list[str], time_us: IntArray) -> None:
        """Adds spans that ended at these times of day."""
        observed, file_day = self.arrive(time_us)
        self.spans.extend(records, observed.tolist(), file_day.tolist())

    def turn_context(self) -> list[str]:
        """Who and in which session, for every turn."""
        turns = self.block.turns
        return [self.context[index] for index in (turns.row * SESSION_SLOTS + turns.slot).tolist()]

    def decisions(self, trace_ids: list[str], agent_ids: list[str]) -> None:
        """The logged decisions about the form of an answer, with their propensities."""
        turns = self.block.turns
        at = np.flatnonzero(turns.is_decision)
        arms = [_evaluation(planted.DECISION_POINT, name, "split") for name in planted.FORMATS]
        position = '{"key":"decision.position","value":{"intValue":"0"}}'
        tasks = [text("task.kind", name) for name in planted.TASKS]
        attributes = [
            f"{arms[action]},{text('feature_flag.context.id', self.unit[row])},"
            f'{self.session[row * SESSION_SLOTS + slot]},{{"key":"decision.propensity","value":'
            f'{{"doubleValue":{propensity}}}}},{position},{tasks[task]}'
            for action, row, slot, propensity, task in zip(
                turns.format[at].tolist(), turns.row[at].tolist(), turns.slot[at].tolist(),
                turns.propensity[at].tolist(), turns.task[at].tolist(), strict=True,
            )
        ]  # fmt: skip
        self.log(
            "feature_flag.evaluation",
            turns.time_us[at],
            attributes,
            [trace_ids[turn] for turn in at.tolist()],
            [agent_ids[turn] for turn in at.tolist()],
        )

    def responses(self, trace_ids: list[str], agent_ids: list[str]) -> int:
        """Responses and what became of them; returns the number of records sent twice by uid."""
        turns = self.block.turns
        context = self.turn_context()
        attributes = [
            f"{who},{text('response.id', 'r-' + trace[:16])},"
            f"{text('response.style', planted.STYLES[style])},"
            f"{text('response.format', planted.FORMATS[form])},"
            f"{text('task.kind', planted.TASKS[task])}"
            for who, trace, style, form, task in zip(
                context, trace_ids, turns.style.tolist(), turns.format.tolist(),
                turns.task.tolist(), strict=True,
            )
        ]  # fmt: skip
        shown_us = turns.time_us + turns.duration_us + 50_000
        reaction_us = self.rng.integers(1_000_000, 90_000_000, len(shown_us))
        for event_name, chosen, delay_us in (
            ("assistant.response.shown", ~turns.is_error, np.zeros_like(reaction_us)),
            ("assistant.response.copied", turns.is_copied, reaction_us),
            ("assistant.response.regenerated", turns.is_regenerated, reaction_us),
        ):
            at = np.flatnonzero(chosen)
            self.log(
                event_name,
                shown_us[at] + delay_us[at],
                [attributes[turn] for turn in at.tolist()],
                [trace_ids[turn] for turn in at.tolist()],
                [agent_ids[turn] for turn in at.tolist()],
            )
        at = np.flatnonzero(turns.feedback != NO_FEEDBACK)
        uids = self.hex_ids(16, len(at))
        ratings = (text("rating", "negative"), text("rating", "positive"))
        rated = [
            f"{attributes[turn]},{ratings[rating]},{text('log.record.uid', uid)}"
            for turn, rating, uid in zip(
                at.tolist(), turns.feedback[at].tolist(), uids, strict=True
            )
        ]
        time_us = shown_us[at] + reaction_us[at] + 5_000_000
        traces = [trace_ids[turn] for turn in at.tolist()]
        spans = [agent_ids[turn] for turn in at.tolist()]
        observed, file_day = self.log("assistant.feedback", time_us, rated, traces, spans)
        share = planted.RESENT_UID_SHARE if self.faults else 0.0
        again = np.flatnonzero(self.rng.random(len(at)) < share)
        # A retry of the exporter: the same uid, seen anew an hour later.
        for index in again.tolist():
            time, seen = self.day_us + int(time_us[index]), int(observed[index]) + HOUR_US
            record = (
                f'{{"timeUnixNano":"{time}000","observedTimeUnixNano":"{seen}000",'
                f'"severityNumber":9,"body":{{}},"attributes":[{rated[index]}],'
                f'"traceId":"{traces[index]}","spanId":"{spans[index]}",'
                f'"eventName":"assistant.feedback"}}'
            )
            self.logs.duplicates.append((int(file_day[index]), record))
        return len(again)

    def suggestions(self) -> None:
        """Inline suggestions, the decision on each, and how much of an accepted one survives."""
        shown = self.block.suggestions
        size = len(shown.row)
        ids = self.hex_ids(8, size)
        languages = [text("code.language", name) for name in planted.LANGUAGES]
        styles = [text("suggestion.style", name) for name in planted.SUGGESTION_STYLES]
        attributes = [
            f"{self.context[index]},{text('suggestion.id', 'g-' + suggestion)},{styles[style]},"
            f"{languages[language]}"
            for index, suggestion, style, language in zip(
                (shown.row * SESSION_SLOTS + shown.slot).tolist(), ids, shown.style.tolist(),
                shown.language.tolist(), strict=True,
            )
        ]  # fmt: skip
        self.log(
            "assistant.suggestion.shown",
            shown.time_us,
            [
                f'{attribute},{{"key":"suggestion.length","value":{{"intValue":"{length}"}}}},'
                f'{{"key":"suggestion.latency_ms","value":{{"intValue":"{latency}"}}}}'
                for attribute, length, latency in zip(
                    attributes, shown.length.tolist(), shown.latency_ms.tolist(), strict=True
                )
            ],
        )
        displayed = shown.displayed_ms.tolist()
        decided_us = shown.time_us + shown.displayed_ms * 1000
        is_accepted = shown.outcome == ACCEPTED
        for event_name, chosen in (
            ("assistant.suggestion.accepted", is_accepted),
            ("assistant.suggestion.rejected", ~is_accepted & (shown.outcome != UNDECIDED)),
        ):
            at = np.flatnonzero(chosen)
            self.log(
                event_name,
                decided_us[at],
                [
                    f'{attributes[index]},{{"key":"suggestion.displayed_ms","value":'
                    f'{{"intValue":"{displayed[index]}"}}}}'
                    for index in at.tolist()
                ],
            )
        at = np.flatnonzero(shown.has_survival)
        self.log(
            "assistant.edit.survival",
            decided_us[at] + 30_000_000,
            [
                f'{self.context[index]},{text("suggestion.id", "g-" + ids[suggestion])},'
                f'{{"key":"survival_rate","value":{{"doubleValue":{rate}}}}}'
                for suggestion, index, rate in zip(
                    at.tolist(), (shown.row * SESSION_SLOTS + shown.slot)[at].tolist(),
                    shown.survival_rate[at].tolist(), strict=True,
                )
            ],
        )  # fmt: skip

    def controls(self) -> None:
        """What users decided on this day: consent, preferences, sign-ins, erasures."""
        population, day = self.population, self.block.day
        for control in population.controls.get(day, []):
            if control.user // USERS_PER_BLOCK != self.block.block:
                continue
            hidden = bool(population.is_anonymous_start[control.user]) and day < int(
                population.identify_day[control.user]
            )
            who = (
                text("enduser.pseudo.id", population.anonymous_ids[control.user])
                if hidden
                else text("user.id", population.user_ids[control.user])
            )
            attributes = [
                boolean(key, value) if isinstance(value, bool) else text(key, value)
                for key, value in control.attributes
            ]
            self.log(
                control.event_name,
                np.array([control.time_us], dtype=np.int64),
                [",".join((who, *attributes))],
                late_share=_late_share(control),
            )

    def undeclared_events(self) -> int:
        """Events that no tracking plan declares."""
        rows = len(self.block.user)
        count = int(self.rng.poisson(planted.UNDECLARED_EVENTS_PER_USER_DAY * rows)) if rows else 0
        at = self.rng.integers(0, max(rows, 1), count)
        self.log(
            "assistant.panel.resized",
            self.block.first_time_us[at] + self.rng.integers(1_000_000, 900_000_000, count),
            [
                f"{self.context[row * SESSION_SLOTS + int(self.block.first_slot[row])]},"
                f'{{"key":"panel.width","value":{{"intValue":"{width}"}}}}'
                for row, width in zip(
                    at.tolist(), self.rng.integers(200, 900, count).tolist(), strict=True
                )
            ],
        )
        return count

    def bots(self) -> int:
        """Synthetic users, marked as such; they accept everything."""
        before = len(self.logs.records)
        for number in range(1, planted.BOT_UNITS + 1):
            self.machine(f"bot-{number:02d}", text("user.agent.synthetic_type", "bot") + ",")
        return len(self.logs.records) - before

    def internal(self) -> list[str]:
        """Records of an internal service, which go into requests of their own."""
        visible, self.logs = self.logs, Outbox(self.block.day, self.population.days)
        for number in range(1, planted.INTERNAL_UNITS + 1):
            self.machine(f"canary-{number:02d}", "")
        records, self.logs = self.logs.records, visible
        return records

    def machine(self, unit: str, mark: str) -> None:
        """A unit that is no person: exposed to everything, accepts every suggestion."""
        second = 1_000_000
        noon = np.array([12 * HOUR_US], dtype=np.int64)
        for experiment in planted.EXPERIMENTS:
            flag = _evaluation(experiment.name, experiment.variants[-1], "split")
            who = text("feature_flag.context.id", unit)
            self.log("feature_flag.evaluation", noon, [f"{mark}{flag},{who}"], late_share=0.0)
        times = noon + second * (1 + np.arange(10, dtype=np.int64))
        attributes = [
            f"{mark}{text('user.id', unit)},"
            f"{text('suggestion.id', f'g-{unit}-{self.block.day}-{number}')}"
            for number in range(10)
        ]
        self.log("assistant.suggestion.shown", times, attributes, late_share=0.0)
        self.log("assistant.suggestion.accepted", times + second // 2, attributes, late_share=0.0)

    def duplicate(self, outbox: Outbox) -> None:
        """Sends some records a second time, some of them with the next day's file."""
        size = len(outbox.records)
        chosen = np.flatnonzero(self.rng.random(size) < planted.DUPLICATE_RECORD_SHARE)
        if size and not len(chosen) and self.block.block == 0:
            chosen = np.array([size // 2])
        for index, later in zip(
            chosen.tolist(), (self.rng.random(len(chosen)) < 0.5).tolist(), strict=True
        ):
            day = min(outbox.file_day[index] + int(later), self.population.days - 1)
            outbox.duplicates.append((day, outbox.records[index]))


def _late_share(control: Control) -> float:
    if control.event_name == "user.identified":
        return planted.LATE_IDENTIFICATION_SHARE
    return planted.LATE_SHARE


def _evaluation(flag: str, variant: str, reason: str) -> str:
    return ",".join(
        (
            text("feature_flag.key", flag),
            text("feature_flag.result.variant", variant),
            text("feature_flag.result.reason", reason),
            text("feature_flag.provider.name", "assistant-flags"),
        )
    )


def encode_block(population: Population, block: DayBlock, faults: bool) -> EncodedBlock:
    """Formats one block.

    Args:
        population: the users that the block was generated from.
        block: what they did.
        faults: whether the delivery is faulty (late, repeated, undeclared, internal records).
    """
    return _Encoder(population, block, faults).encode()
