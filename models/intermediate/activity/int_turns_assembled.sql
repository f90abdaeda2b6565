{#- One row per turn; spans of a trace may lie on two dates, so linked dates are read too. -#}
{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        record_kind = 'span'
        and {{ is_touched('event_date', with_linked=true) }}
),

model_calls as (
    select * from {{ ref('stg_telemetry__model_calls') }}
    where {{ is_touched('event_date', with_linked=true) }}
),

calls as (
    select
        events.*,
        model_calls.operation,
        model_calls.agent_name,
        model_calls.model,
        model_calls.provider,
        model_calls.conversation_id,
        model_calls.parent_span_id,
        model_calls.duration_ms,
        model_calls.status,
        model_calls.error_type,
        model_calls.input_tokens,
        model_calls.output_tokens,
        coalesce(events.trace_id, events.event_id) as trace_key
    from events
    inner join model_calls
        on events.record_key = model_calls.record_key
    where model_calls.operation != 'execute_tool'
),

-- a call inside another call of its trace is a step of that turn
rooted as (
    select
        calls.*,
        parents.span_id is null as is_turn
    from calls
    left join calls as parents
        on
            calls.trace_id = parents.trace_id
            and calls.parent_span_id = parents.span_id
),

first_turns as (
    select
        trace_key,
        min_by(event_id, {{ order_key('occurred_at', 'event_id') }}) as turn_id
    from rooted
    where is_turn
    group by trace_key
),

assigned as (
    select
        rooted.*,
        coalesce(
            case when rooted.is_turn then rooted.event_id end, parents.event_id,
            first_turns.turn_id
        ) as turn_id
    from rooted
    left join rooted as parents
        on
            rooted.trace_id = parents.trace_id
            and rooted.parent_span_id = parents.span_id
            and parents.is_turn
    left join first_turns
        on rooted.trace_key = first_turns.trace_key
),

-- tokens stand on the model calls; an agent that reports its own total is not counted twice
usage as (
    select
        turn_id,
        count(case when operation != 'invoke_agent' then 1 end) as model_call_count,
        count(case when status = 'error' or error_type is not null then 1 end) as error_count,
        min_by(
            model, case when model is not null then {{ order_key('occurred_at', 'event_id') }} end
        ) as first_model,
        min_by(
            provider, case when provider is not null then {{ order_key('occurred_at', 'event_id') }} end
        ) as first_provider,
        max(error_type) as error_type,
        cast(sum(case when operation != 'invoke_agent' then input_tokens end) as bigint)
            as call_input_tokens,
        cast(sum(case when operation != 'invoke_agent' then output_tokens end) as bigint)
            as call_output_tokens
    from assigned
    group by turn_id
)

select
    assigned.event_id as turn_id,
    assigned.record_key,
    assigned.event_date,
    assigned.occurred_at,
    assigned.user_id,
    assigned.session_id,
    assigned.organization_id,
    assigned.unit_id,
    assigned.trace_id,
    assigned.span_id,
    assigned.conversation_id,
    assigned.agent_name,
    assigned.duration_ms,
    assigned.has_operations_consent,
    assigned.has_measurement_consent,
    assigned.has_personalization_consent,
    coalesce(assigned.model, usage.first_model) as model,
    coalesce(assigned.provider, usage.first_provider) as provider,
    coalesce(usage.call_input_tokens, assigned.input_tokens) as input_tokens,
    coalesce(usage.call_output_tokens, assigned.output_tokens) as output_tokens,
    usage.model_call_count,
    usage.error_count > 0 as has_error,
    coalesce(assigned.error_type, usage.error_type) as error_type
from assigned
inner join usage
    on assigned.event_id = usage.turn_id
where assigned.is_turn and {{ is_touched('assigned.event_date') }}
