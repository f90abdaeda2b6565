"""The work of ingest as SQL for DuckDB's JSON functions.

The same: requests to log records, span events and spans; attributes with those of the resource, the
record's winning; content left out, identifiers as keyed hashes; e-mail addresses and long numbers
replaced; an id from the record's canonical text; Parquet by day, in the same order and compression.

Less than ingest does: SHA-256 of key and text for HMAC; no search for a record's identifiers in its
other texts; no checks of times, encodings and repeated keys; no line numbers, rejections or ledger.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from orchestration.ingest.privacy import SESSION_KEYS, USER_KEYS, Privacy, PrivacyPolicy

VALUE = """struct("stringValue" varchar, "intValue" varchar, "doubleValue" double,
    "boolValue" boolean, "bytesValue" varchar, "arrayValue" json, "kvlistValue" json)"""
ATTRIBUTES = f"""struct("key" varchar, "value" {VALUE})[]"""
LOG = f"""struct("timeUnixNano" varchar, "observedTimeUnixNano" varchar, "severityNumber" bigint,
    "severityText" varchar, "body" {VALUE}, "attributes" {ATTRIBUTES}, "flags" bigint,
    "traceId" varchar, "spanId" varchar, "eventName" varchar)"""
EVENT = f"""struct("timeUnixNano" varchar, "name" varchar, "attributes" {ATTRIBUTES})"""
SPAN = f"""struct("traceId" varchar, "spanId" varchar, "parentSpanId" varchar, "flags" bigint,
    "name" varchar, "kind" bigint, "startTimeUnixNano" varchar, "endTimeUnixNano" varchar,
    "attributes" {ATTRIBUTES}, "events" {EVENT}[],
    "status" struct("message" varchar, "code" bigint))"""
GROUPS = """struct("resource" struct("attributes" {attributes}),
    "{scopes}" struct("{records}" {record}[])[])[]"""

REQUESTS = """
create temp view requests as
select * from read_json(
    '{source}', format = 'newline_delimited', maximum_object_size = 67108864,
    columns = {{"resourceLogs": '{logs}', "resourceSpans": '{spans}'}}
);
create temp macro texts(items) as list_transform(items, lambda item: {{
    'key': item.key,
    'value': coalesce(
        item.value.stringValue, item.value.intValue, item.value.doubleValue::varchar,
        item.value.boolValue::varchar, item.value.arrayValue::varchar,
        item.value.kvlistValue::varchar, item.value.bytesValue
    )
}});
create temp macro inherited(own, parents) as list_sort(list_concat(
    texts(own),
    list_filter(
        texts(parents),
        lambda item: not list_contains(list_transform(coalesce(own, []), lambda o: o.key), item.key)
    )
));
create temp macro clean(items) as map_from_entries(list_transform(
    list_filter(items, lambda item: item.key not in ({content})),
    lambda item: {{
        'key': item.key,
        'value': case
            when item.key in ({identifiers}) then sha256('{secret}' || item.value)
            else regexp_replace(
                regexp_replace(
                    item.value, '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+[.][A-Za-z0-9.-]+', '[email]', 'g'
                ),
                '[0-9]{{13,19}}', '[card]', 'g'
            )
        end
    }}
));
create temp macro first_of(items, names) as list_filter(
    list_transform(names, lambda n: list_filter(items, lambda i: i.key = n)[1].value),
    lambda v: v <> ''
)[1];
create temp macro moment(nanos) as make_timestamp(try_cast(nanos as bigint) // 1000);
create temp macro hashed(content) as sha256('{secret}' || content);
"""

COLUMNS = """
    hashed(canonical) as event_id, event_name, occurred_at, observed_at, now() as loaded_at,
    hashed(first_of(items, [{users}])) as user_id,
    hashed(first_of(items, [{sessions}])) as session_id,
    nullif(trace_id, '') as trace_id, nullif(span_id, '') as span_id,
    clean(items) as attributes, occurred_at::date as event_date
"""

LOG_RECORDS = """
copy (
    with logs as (
        select
            g.resource.attributes as resource_attributes,
            unnest(flatten(list_transform(g."scopeLogs", lambda s: s."logRecords"))) as r
        from (select unnest("resourceLogs") as g from requests)
    ), spans as (
        select
            g.resource.attributes as resource_attributes,
            unnest(flatten(list_transform(g."scopeSpans", lambda s: s.spans))) as s
        from (select unnest("resourceSpans") as g from requests)
    ), events as (
        select resource_attributes, s, unnest(s.events) as e from spans
    ), records as (
        select
            r."eventName" as event_name,
            moment(coalesce(nullif(r."timeUnixNano", '0'), r."observedTimeUnixNano")) as occurred_at,
            moment(r."observedTimeUnixNano") as observed_at,
            r."traceId" as trace_id, r."spanId" as span_id,
            inherited(r.attributes, resource_attributes) as items,
            concat(to_json(r), to_json(resource_attributes)) as canonical
        from logs
        union all
        select
            e.name, moment(e."timeUnixNano"), null, s."traceId", s."spanId",
            inherited(e.attributes, list_concat(
                list_filter(s.attributes, lambda i: i.key in ({identifiers})), resource_attributes
            )),
            concat(s."traceId", s."spanId", to_json(e), to_json(resource_attributes))
        from events
    )
    select {columns} from records order by event_date, event_name, occurred_at
) to '{target}/log_records' (
    format parquet, partition_by (event_date), compression zstd, compression_level 1
);
"""

SPANS = """
copy (
    with spans as (
        select
            g.resource.attributes as resource_attributes,
            unnest(flatten(list_transform(g."scopeSpans", lambda s: s.spans))) as s
        from (select unnest("resourceSpans") as g from requests)
    ), records as (
        select
            s.name as event_name, moment(s."startTimeUnixNano") as occurred_at,
            null::timestamp as observed_at, s."traceId" as trace_id, s."spanId" as span_id,
            s."parentSpanId" as parent_span_id, s.status.code as status,
            (try_cast(s."endTimeUnixNano" as bigint) - try_cast(s."startTimeUnixNano" as bigint))
            / 1e6 as duration_ms,
            inherited(s.attributes, resource_attributes) as items,
            concat(to_json(s), to_json(resource_attributes)) as canonical
        from spans
    )
    select {columns}, parent_span_id, status, duration_ms
    from records order by event_date, event_name, occurred_at
) to '{target}/spans' (
    format parquet, partition_by (event_date), compression zstd, compression_level 1
);
"""


def run(source: Path, target: Path, policy: PrivacyPolicy, threads: int) -> int:
    """Write the file's rows below `target`; returns their number."""
    target.mkdir(parents=True)
    fields = {
        "source": str(source),
        "target": str(target),
        "secret": "0123456789abcdef",
        "logs": _group("scopeLogs", "logRecords", LOG),
        "spans": _group("scopeSpans", "spans", SPAN),
        "content": _names(policy, Privacy.CONTENT),
        "identifiers": _names(policy, Privacy.IDENTIFIER),
        "users": _quoted(USER_KEYS),
        "sessions": _quoted(SESSION_KEYS),
    }
    fields["columns"] = COLUMNS.format(**fields)
    with duckdb.connect(config={"threads": threads}) as connection:
        for statement in (REQUESTS, LOG_RECORDS, SPANS):
            connection.execute(statement.format(**fields))
        written = f"{target}/*/*/*.parquet"
        count = connection.execute(
            "select coalesce(sum(num_rows), 0) from parquet_file_metadata(?)", [written]
        ).fetchone()
    return int(count[0]) if count else 0


def _group(scopes: str, records: str, record: str) -> str:
    return GROUPS.format(attributes=ATTRIBUTES, scopes=scopes, records=records, record=record)


def _names(policy: PrivacyPolicy, treatment: Privacy) -> str:
    names = [name for name, treated in policy.catalog.items() if treated is treatment]
    names += [alias for alias, name in policy.attribute_names.items() if name in names]
    return _quoted(tuple(names))


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
