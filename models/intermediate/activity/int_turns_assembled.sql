{#- One row per turn; spans of a trace may lie on two dates, so linked dates are read too. -#}
{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

calls as (
    select
        *,
        coalesce(trace_id, event_id) as trace_key
    from {{ ref('int_calls_resolved') }}
    where operation != 'execute_tool' and {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

first_logged_calls as (
    select
        trace_key,
        min_by(event_id, {{ order_key('occurred_at', 'event_id') }}) as event_id
    from calls
    where is_logged
    group by trace_key
),

-- a call inside another call of its trace is a step of that turn; logged calls have no inside: those
-- of one trace are one turn
rooted as (
    select
        calls.*,
        case
            when calls.is_logged then first_logged_calls.event_id is not null
            else parents.span_id is null
        end as is_turn
    from calls
    left join calls as parents
        on
            calls.trace_id = parents.trace_id
            and calls.parent_span_id = parents.span_id
            and not parents.is_logged
    left join first_logged_calls
        on calls.event_id = first_logged_calls.event_id
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
            and not parents.is_logged
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
            as call_output_tokens,
        sum(case when operation != 'invoke_agent' then cost_usd end) as call_cost_usd,
        sum(case when is_logged then duration_ms end) as logged_duration_ms
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
    coalesce(usage.logged_duration_ms, assigned.duration_ms) as duration_ms,
    assigned.has_operations_consent,
    assigned.has_measurement_consent,
    assigned.has_personalization_consent,
    coalesce(assigned.model, usage.first_model) as model,
    coalesce(assigned.provider, usage.first_provider) as provider,
    coalesce(usage.call_input_tokens, assigned.input_tokens) as input_tokens,
    coalesce(usage.call_output_tokens, assigned.output_tokens) as output_tokens,
    coalesce(usage.call_cost_usd, assigned.cost_usd) as cost_usd,
    usage.model_call_count,
    usage.error_count > 0 as has_error,
    coalesce(assigned.error_type, usage.error_type) as error_type
from assigned
inner join usage
    on assigned.event_id = usage.turn_id
where assigned.is_turn and {{ is_touched('assigned.event_date') }}
