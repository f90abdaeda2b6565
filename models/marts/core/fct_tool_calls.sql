{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

calls as (
    select * from {{ ref('int_calls_resolved') }}
    where
        operation = 'execute_tool'
        and has_measurement_consent
        and {{ is_touched('event_date') }}
)

select
    event_id as tool_call_id,
    event_date,
    occurred_at,
    user_id,
    session_id,
    organization_id,
    unit_id,
    trace_id,
    tool_name,
    duration_ms,
    status = 'error' or calls.error_type is not null as has_error,
    error_type
from calls
