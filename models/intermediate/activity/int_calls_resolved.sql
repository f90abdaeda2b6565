{#- Calls of agents, models and tools. A call that a log event tells of is the call of a span where its
    trace has such spans or, for a log event outside traces, where its session has on that date. -#}
{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

model_calls as (
    select * from {{ ref('stg_telemetry__model_calls') }}
    where {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

calls as (
    select
        events.*,
        model_calls.is_logged,
        model_calls.operation,
        model_calls.operation = 'execute_tool' as is_tool_call,
        model_calls.agent_name,
        model_calls.model,
        model_calls.provider,
        model_calls.conversation_id,
        model_calls.tool_name,
        model_calls.parent_span_id,
        model_calls.duration_ms,
        model_calls.status,
        model_calls.error_type,
        model_calls.input_tokens,
        model_calls.output_tokens,
        model_calls.cost_usd
    from events
    inner join model_calls
        on events.record_key = model_calls.record_key
),

traced as (
    select distinct
        trace_id,
        is_tool_call
    from calls
    where not is_logged and trace_id is not null
),

spanned_sessions as (
    select distinct
        event_date,
        session_id,
        coalesce(service_name, '') as service_key,
        is_tool_call
    from calls
    where not is_logged and session_id is not null
),

told_once as (
    select calls.*
    from calls
    left join traced
        on
            calls.trace_id = traced.trace_id
            and calls.is_tool_call = traced.is_tool_call
    left join spanned_sessions
        on
            calls.event_date = spanned_sessions.event_date
            and case when calls.trace_id is null then calls.session_id end
            = spanned_sessions.session_id
            and coalesce(calls.service_name, '') = spanned_sessions.service_key
            and calls.is_tool_call = spanned_sessions.is_tool_call
    where
        not calls.is_logged
        or (traced.trace_id is null and spanned_sessions.session_id is null)
)

select
    event_id,
    record_key,
    event_date,
    occurred_at,
    user_id,
    session_id,
    organization_id,
    unit_id,
    trace_id,
    span_id,
    parent_span_id,
    has_operations_consent,
    has_measurement_consent,
    has_personalization_consent,
    is_logged,
    operation,
    agent_name,
    model,
    provider,
    conversation_id,
    tool_name,
    duration_ms,
    status,
    error_type,
    input_tokens,
    output_tokens,
    cost_usd
from told_once
where {{ is_touched('event_date') }}
-- what a day replaces then lies in one place
order by event_date
