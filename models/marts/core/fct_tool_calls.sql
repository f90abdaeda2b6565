{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        record_kind = 'span'
        and has_measurement_consent
        and {{ is_touched('event_date') }}
),

model_calls as (
    select * from {{ ref('stg_telemetry__model_calls') }}
    where operation = 'execute_tool' and {{ is_touched('event_date') }}
)

select
    events.event_id as tool_call_id,
    events.event_date,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    model_calls.tool_name,
    model_calls.duration_ms,
    model_calls.status = 'error' or model_calls.error_type is not null as has_error,
    model_calls.error_type
from events
inner join model_calls
    on events.record_key = model_calls.record_key
