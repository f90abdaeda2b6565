"""The typed tables of the lake, as every reader of them relies on."""

from __future__ import annotations

import pyarrow as pa

TEXT_MAP = pa.map_(pa.string(), pa.string())
TIMESTAMP = pa.timestamp("us")

_COMMON = [
    ("event_id", pa.string()),
    ("event_name", pa.string()),
    ("occurred_at", TIMESTAMP),
    ("observed_at", TIMESTAMP),
    ("loaded_at", TIMESTAMP),
    ("user_id", pa.string()),
    ("session_id", pa.string()),
    ("trace_id", pa.string()),
    ("span_id", pa.string()),
    ("service_name", pa.string()),
    ("service_version", pa.string()),
    ("environment", pa.string()),
    ("attributes", TEXT_MAP),
    ("attribute_types", TEXT_MAP),
    ("batch_id", pa.string()),
    ("line_number", pa.int64()),
    ("record_number", pa.int64()),
]

LOG_RECORDS = pa.schema(
    [
        *_COMMON,
        ("event_number", pa.int64()),
        ("has_record_uid", pa.bool_()),
        ("is_span_event", pa.bool_()),
    ]
)

SPANS = pa.schema(
    [
        *_COMMON,
        ("parent_span_id", pa.string()),
        ("span_name", pa.string()),
        ("duration_ms", pa.float64()),
        ("status", pa.string()),
    ]
)

BATCHES = pa.schema(
    [
        ("batch_id", pa.string()),
        ("file_name", pa.string()),
        ("file_bytes", pa.int64()),
        ("loaded_at", TIMESTAMP),
        ("line_count", pa.int64()),
        ("records_in", pa.int64()),
        ("well_formed", pa.int64()),
        ("rejected", pa.int64()),
        ("log_record_count", pa.int64()),
        ("span_count", pa.int64()),
        ("span_event_count", pa.int64()),
        ("first_occurred_at", TIMESTAMP),
        ("last_occurred_at", TIMESTAMP),
    ]
)

REJECTIONS = pa.schema(
    [
        ("batch_id", pa.string()),
        ("file_name", pa.string()),
        ("line_number", pa.int64()),
        ("record_number", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("loaded_at", TIMESTAMP),
    ]
)

PSEUDONYM_LINKS = pa.schema(
    [
        ("pseudonym", pa.string()),
        ("stable_pseudonym", pa.string()),
        ("key_id", pa.string()),
        ("stable_key_id", pa.string()),
        ("batch_id", pa.string()),
        ("loaded_at", TIMESTAMP),
    ]
)

ERASED_RECORDS = pa.schema(
    [
        ("batch_id", pa.string()),
        ("records", pa.int64()),
        ("erased_at", TIMESTAMP),
    ]
)
