"""From the flat block to rows of the lake: checks, ids, pseudonyms, typed columns.

Everything is done on columns of the whole block; the loops that remain run once per record (its
hash, a search for its identifiers) and once per distinct value, never once per attribute.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest import detect, times
from orchestration.ingest.canonical import (
    PART_END,
    KeyOrder,
    SortedAttributes,
    header_bytes,
    slices,
)
from orchestration.ingest.flat import Array, Flat, Integers, Kind, Records
from orchestration.ingest.inherit import Merged, merge
from orchestration.ingest.keys import Keys
from orchestration.ingest.privacy import PrivacyPolicy
from orchestration.ingest.redact import UID_KEY, Clean, Pseudonyms, redact
from orchestration.ingest.schema import LOG_RECORDS, SPANS, TEXT_MAP, TIMESTAMP

Mask = npt.NDArray[np.bool_]

NAME_KEY = "event.name"
OPERATION_KEY = "gen_ai.operation.name"
HEX_ID = r"^[0-9a-f]*$"
DOTTED_NAME = r"^[a-z][a-z0-9_]{0,40}(\.[a-z][a-z0-9_]{0,40}){1,4}$"
STATUS = {
    "1": "ok",
    "2": "error",
    "STATUS_CODE_OK": "ok",
    "STATUS_CODE_ERROR": "error",
}
KIND_NAMES = [kind.name.lower() for kind in Kind]
REASONS = ("", "duplicate_attribute", "missing_time", "invalid_time", "time_out_of_range")
DETAILS = {
    "duplicate_attribute": "an attribute key stands twice with different values",
    "missing_time": "no time, or 0, which means unknown",
    "invalid_time": "a time is not a whole number of nanoseconds",
    "time_out_of_range": "before 2000, or more than a day after the load",
}


@dataclass(frozen=True)
class Rejection:
    """A line or record that was not taken; `detail` never quotes it."""

    line: int | None
    record: int | None
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Stamp:
    """What all rows of a batch share."""

    batch_id: str
    loaded_at: datetime


@dataclass(frozen=True)
class Rows:
    """The rows of a block and what was refused of it."""

    log_records: pa.Table
    spans: pa.Table
    rejections: list[Rejection]
    log_record_count: int
    span_event_count: int


def build_rows(
    flat: Flat, stamp: Stamp, keys: Keys, policy: PrivacyPolicy, pseudonyms: Pseudonyms
) -> Rows:
    """The lake's rows of a block.

    Args:
        flat: the block.
        stamp: batch and time of the load; times are checked against the latter.
        keys: the secret keys.
        policy: the privacy of attributes.
        pseudonyms: those of earlier blocks, under the same keys.
    """
    flat = replace(flat, logs=_in_lake_order(flat.logs))
    block = _Block(flat, stamp, keys, policy, pseudonyms)
    log_nanos, log_reasons = block.check_logs()
    span_nanos, event_nanos, span_reasons = block.check_spans()
    is_good_log = log_reasons == 0
    is_good_span = span_reasons == 0
    log_table = _only(block.log_table(log_nanos), is_good_log)
    event_table = _only(block.event_table(event_nanos), is_good_span[flat.events.parent])
    return Rows(
        log_records=pa.concat_tables([log_table, event_table]),
        spans=_only(block.span_table(span_nanos), is_good_span),
        rejections=sorted(
            [*_rejections(flat.logs, log_reasons), *_rejections(flat.spans, span_reasons)],
            key=lambda rejection: (rejection.line or 0, rejection.record or 0),
        ),
        log_record_count=log_table.num_rows,
        span_event_count=event_table.num_rows,
    )


def find_rejections(flat: Flat, stamp: Stamp) -> list[Rejection]:
    """What would be refused of a block."""
    checks = _Checks(flat, stamp)
    return [
        *_rejections(flat.logs, checks.check_logs()[1]),
        *_rejections(flat.spans, checks.check_spans()[2]),
    ]


class _Checks:
    """The attributes in order, and what is wrong with records."""

    def __init__(self, flat: Flat, stamp: Stamp) -> None:
        self.flat, self.stamp = flat, stamp
        parts = (
            flat.resources,
            flat.logs.attributes,
            flat.spans.attributes,
            flat.events.attributes,
        )
        self.keys = KeyOrder(*(part.key for part in parts))
        self.resources, self.logs, self.spans, self.events = (
            SortedAttributes(part, codes, len(self.keys.names))
            for part, codes in zip(parts, self.keys.codes, strict=True)
        )

    def check_logs(self) -> tuple[Integers, npt.NDArray[np.int8]]:
        """Times of the log records, and for each the number of the reason against it (0: none)."""
        logs = self.flat.logs
        happened, is_invalid = times.nanoseconds(logs.text["time"])
        observed, observed_is_invalid = times.nanoseconds(logs.text["observed"])
        nanos = np.where(happened == 0, observed, happened)
        reasons = self._reasons(
            len(logs),
            self._clashing(logs, self.logs),
            nanos == 0,
            is_invalid | observed_is_invalid,
            times.out_of_range(nanos, self.stamp.loaded_at),
        )
        return nanos, reasons

    def check_spans(self) -> tuple[Integers, Integers, npt.NDArray[np.int8]]:
        """Times of spans and of their events, and the reasons against spans.

        An event is part of its span: what is wrong with it is wrong with the span.
        """
        spans, events = self.flat.spans, self.flat.events
        nanos, is_invalid = times.nanoseconds(spans.text["time"])
        ends, end_is_invalid = times.nanoseconds(spans.text["end"])
        is_invalid = is_invalid | end_is_invalid
        outside = times.out_of_range(nanos, self.stamp.loaded_at)
        outside |= (ends != 0) & times.out_of_range(ends, self.stamp.loaded_at)
        event_nanos, event_is_invalid = times.nanoseconds(events.text["time"])
        has_no_time = (event_nanos == 0) & ~event_is_invalid
        event_nanos = np.where(has_no_time, nanos[events.parent], event_nanos)
        is_invalid[events.parent[event_is_invalid]] = True
        event_outside = times.out_of_range(event_nanos, self.stamp.loaded_at) & ~has_no_time
        outside[events.parent[event_outside]] = True
        clashing = self._clashing(spans, self.spans)
        clashing[events.parent[self._clashing(events, self.events)]] = True
        reasons = self._reasons(len(spans), clashing, nanos == 0, is_invalid, outside)
        return nanos, event_nanos, reasons

    def _clashing(self, records: Records, own: SortedAttributes) -> Mask:
        resources = np.zeros(self.flat.resource_count, dtype=bool)
        resources[self.resources.clashing] = True
        resources[self.flat.resources_clashing] = True
        clashing: Mask = resources[records.resource]
        clashing[own.clashing] = True
        clashing[records.clashing] = True
        return clashing

    @staticmethod
    def _reasons(
        count: int, clashing: Mask, is_missing: Mask, is_invalid: Mask, outside: Mask
    ) -> npt.NDArray[np.int8]:
        reasons = np.zeros(count, dtype=np.int8)
        for code, mask in ((4, outside), (2, is_missing), (3, is_invalid), (1, clashing)):
            reasons[mask] = code
        return reasons


class _Block(_Checks):
    """The tables of a block."""

    def __init__(
        self,
        flat: Flat,
        stamp: Stamp,
        keys: Keys,
        policy: PrivacyPolicy,
        pseudonyms: Pseudonyms,
    ) -> None:
        super().__init__(flat, stamp)
        self.secret, self.policy, self.pseudonyms = keys, policy, pseudonyms
        self.resource_bytes = [
            PART_END.encode() + part
            for part in self.resources.canonical(self.keys, flat.resource_count)
        ]

    def log_table(self, nanos: Integers) -> pa.Table:
        """The rows of log records."""
        logs = self.flat.logs
        header = header_bytes(logs.text, "log")
        own = self.logs.canonical(self.keys, len(logs))
        canonical = [
            head + attributes + self.resource_bytes[resource]
            for head, attributes, resource in zip(
                _bytes(header), own, logs.resource.tolist(), strict=True
            )
        ]
        observed = times.nanoseconds(logs.text["observed"])[0]
        name = self._event_names(logs, self.logs)
        merged = merge(self.keys, self.policy, self.logs, self.resources, logs.resource)
        columns = self._columns(logs, merged, name, name, canonical)
        columns |= {
            "occurred_at": times.timestamps(nanos),
            "observed_at": times.timestamps(observed, zero_is_null=True),
            "trace_id": self._hex_id(logs.text["trace_id"]),
            "span_id": self._hex_id(logs.text["span_id"]),
            "event_number": pa.nulls(len(logs), pa.int64()),
            "is_span_event": pa.repeat(pa.scalar(value=False), len(logs)),
        }
        return _table(columns, LOG_RECORDS)

    def event_table(self, nanos: Integers) -> pa.Table:
        """The rows of span events: their own ids and names, their span's trace, user and session."""
        events, spans = self.flat.events, self.flat.spans
        parent = pa.array(events.parent)
        trace, span = (spans.text[field].take(parent) for field in ("trace_id", "span_id"))
        own = self.events.canonical(self.keys, len(events))
        header = header_bytes({"trace": trace, "span": span} | events.text, "event")
        canonical = [
            head + attributes + self.resource_bytes[resource]
            for head, attributes, resource in zip(
                _bytes(header), own, events.resource.tolist(), strict=True
            )
        ]
        name = self._event_names(events, self.events)
        merged = merge(
            self.keys,
            self.policy,
            self.events,
            self.resources,
            events.resource,
            (self.spans, events.parent, len(spans)),
        )
        columns = self._columns(events, merged, name, name, canonical)
        columns |= {
            "occurred_at": times.timestamps(nanos),
            "observed_at": pa.nulls(len(events), TIMESTAMP),
            "trace_id": self._hex_id(trace),
            "span_id": self._hex_id(span),
            "event_number": pa.array(events.position),
            "is_span_event": pa.repeat(pa.scalar(value=True), len(events)),
        }
        return _table(columns, LOG_RECORDS)

    def span_table(self, nanos: Integers) -> pa.Table:
        """The rows of spans."""
        spans = self.flat.spans
        operation = self.spans.value_of(self.keys.code(OPERATION_KEY), len(spans))
        planned = pc.fill_null(pc.binary_join_element_wise("gen_ai", operation, "."), "span")
        merged = merge(self.keys, self.policy, self.spans, self.resources, spans.resource)
        columns = self._columns(spans, merged, spans.text["name"], planned, self._span_canonical())
        ends = times.nanoseconds(spans.text["end"])[0]
        duration = (ends - nanos) / times.NANOS_PER_MILLI
        columns |= {
            "span_name": columns["event_name"],
            "event_name": pa.repeat(pa.scalar("span"), len(spans)),
            "occurred_at": times.timestamps(nanos),
            "observed_at": pa.nulls(len(spans), TIMESTAMP),
            "trace_id": self._hex_id(spans.text["trace_id"]),
            "span_id": self._hex_id(spans.text["span_id"]),
            "parent_span_id": self._hex_id(spans.text["parent_span_id"]),
            "duration_ms": pa.array(duration, pa.float64(), mask=(ends == 0) | (ends < nanos)),
            "status": pa.array(
                [STATUS.get(code, "unset") for code in spans.text["status_code"].to_pylist()],
                pa.string(),
            ),
        }
        return _table(columns, SPANS)

    def _span_canonical(self) -> list[bytes]:
        spans, events = self.flat.spans, self.flat.events
        event_parts = [
            PART_END.encode() + head + attributes
            for head, attributes in zip(
                _bytes(header_bytes(events.text, "event")),
                self.events.canonical(self.keys, len(events)),
                strict=True,
            )
        ]
        starts = np.searchsorted(events.parent, np.arange(len(spans) + 1)).tolist()
        return [
            head + attributes + b"".join(event_parts[start:end]) + self.resource_bytes[resource]
            for head, attributes, start, end, resource in zip(
                _bytes(header_bytes(spans.text, "span")),
                self.spans.canonical(self.keys, len(spans)),
                starts[:-1],
                starts[1:],
                spans.resource.tolist(),
                strict=True,
            )
        ]

    def _columns(
        self,
        records: Records,
        merged: Merged,
        name: Array,
        planned_event: Array,
        canonical: list[bytes],
    ) -> dict[str, Array]:
        """The columns that all tables share, with every value as it may enter the lake."""
        count = len(records)
        clean = redact(merged, self.keys, self.policy, self.pseudonyms, name, planned_event)
        uid = clean.value_of(self.keys.code(UID_KEY), count, own_only=True)
        has_uid = pc.is_valid(uid)
        without_uid = np.flatnonzero(~has_uid.to_numpy(zero_copy_only=False)).tolist()
        hashes = pa.array(
            self.secret.event_ids([canonical[row] for row in without_uid]), pa.string()
        )
        environment = pc.coalesce(
            clean.value_of(self.keys.code("deployment.environment.name"), count),
            clean.value_of(self.keys.code("deployment.environment"), count),
        )
        typed = clean.kind != Kind.STRING
        kinds = pa.array(KIND_NAMES).take(pa.array(clean.kind[typed]))
        return {
            "event_id": pc.replace_with_mask(uid, pc.invert(has_uid), hashes),
            "has_record_uid": has_uid,
            "event_name": clean.names,
            "loaded_at": pa.repeat(
                pa.scalar(times.naive_utc(self.stamp.loaded_at), TIMESTAMP), count
            ),
            "user_id": self.pseudonyms.of_column(merged.user),
            "session_id": self.pseudonyms.of_column(merged.session),
            "service_name": clean.value_of(self.keys.code("service.name"), count),
            "service_version": clean.value_of(self.keys.code("service.version"), count),
            "environment": environment,
            "attributes": _map(clean, clean.text, slice(None), count),
            "attribute_types": _map(clean, kinds, typed, count),
            "batch_id": pa.repeat(pa.scalar(self.stamp.batch_id), count),
            "line_number": pa.array(records.line),
            "record_number": pa.array(records.number),
        }

    def _event_names(self, records: Records, own: SortedAttributes) -> Array:
        field = records.text["name"]
        attribute = pc.fill_null(own.value_of(self.keys.code(NAME_KEY), len(records)), "")
        if "body" in records.text:
            attribute = _with_prefix(attribute, records.text["body"])
        return pc.if_else(pc.equal(field, ""), attribute, field)

    def _hex_id(self, texts: Array) -> Array:
        """Trace and span ids in lower case; what is no hex, or a card number, gets a pseudonym."""
        texts = pc.utf8_lower(texts)
        is_hex = pc.match_substring_regex(texts, HEX_ID)
        is_card = detect.card_numbers(texts)
        if is_card.any():
            is_hex = pc.and_(is_hex, pa.array(~is_card))
        if not pc.all(is_hex, min_count=0).as_py():
            texts = pc.if_else(is_hex, texts, self.pseudonyms.stable_column(texts))
        return pc.if_else(pc.equal(pc.utf8_ltrim(texts, "0"), ""), None, texts)


def _rejections(records: Records, reasons: npt.NDArray[np.int8]) -> Iterable[Rejection]:
    for row in np.flatnonzero(reasons).tolist():
        reason = REASONS[reasons[row]]
        yield Rejection(int(records.line[row]), int(records.number[row]), reason, DETAILS[reason])


def _in_lake_order(records: Records) -> Records:
    """The records by day, name and time, so that their rows need not be sorted again.

    Attributes are sorted by owner and key anyway; this makes it the order of the file. A name that
    stands in an attribute is not known yet: such rows are sorted when they are written.
    """
    happened = times.nanoseconds(records.text["time"])[0]
    observed = times.nanoseconds(records.text["observed"])[0]
    micros = np.where(happened == 0, observed, happened) // times.NANOS_PER_MICRO
    names = pc.rank(records.text["name"], tiebreaker="dense").to_numpy(zero_copy_only=False)
    days = micros // times.MICROS_PER_DAY
    order = np.lexsort((records.number, records.line, micros, names, days))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = pa.array(order)
    return replace(
        records,
        line=records.line[order],
        number=records.number[order],
        position=records.position[order],
        resource=records.resource[order],
        parent=records.parent[order],
        text={name: column.take(rows) for name, column in records.text.items()},
        attributes=replace(records.attributes, owner=place[records.attributes.owner]),
        clashing=place[records.clashing],
    )


def _with_prefix(names: Array, bodies: Array) -> Array:
    """Names with their emitter's prefix where the body is just that: `app.login` for `login`."""
    is_name = pc.match_substring_regex(bodies, DOTTED_NAME)
    if not pc.any(is_name, min_count=0).as_py():
        return names
    bodies = pc.if_else(is_name, bodies, "")
    last_part = pc.replace_substring_regex(bodies, r"^.*\.", "")
    is_same = pc.and_(pc.equal(last_part, names), pc.not_equal(names, ""))
    return pc.if_else(is_same, bodies, names)


def _map(clean: Clean, values: Array, rows: Mask | slice, count: int) -> Array:
    offsets = np.searchsorted(clean.owner[rows], np.arange(count + 1)).astype(np.int32)
    keys = clean.keys.take(pa.array(clean.codes[rows]))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values, type=TEXT_MAP)


def _only(table: pa.Table, is_good: Mask) -> pa.Table:
    return table if is_good.all() else table.filter(pa.array(is_good))


def _bytes(texts: Array) -> list[bytes]:
    return slices(texts, np.arange(len(texts) + 1))


def _table(columns: dict[str, Array], schema: pa.Schema) -> pa.Table:
    return pa.table([columns[field.name] for field in schema], schema=schema)
