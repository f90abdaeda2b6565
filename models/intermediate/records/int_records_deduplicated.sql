{{ config(materialized='view') }}
with

records as (
    select * from {{ ref('int_records_read') }}
),

repeated as (
    select * from {{ ref('int_records_repeated') }}
)

select
    records.record_key,
    records.event_id,
    records.record_kind,
    records.event_name,
    records.event_date,
    records.unit_part,
    records.occurred_at,
    records.pseudonym,
    records.session_id,
    records.organization_id,
    records.trace_id,
    records.span_id,
    records.service_name,
    records.service_version,
    records.environment,
    records.batch_id,
    records.line_number,
    records.suggestion_id
from records
left join repeated
    on records.record_key = repeated.record_key
where repeated.record_key is null
