{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        user_id is not null
        and has_measurement_consent
        and {{ is_touched('event_date') }}
),

turns as (
    select * from {{ ref('fct_assistant_turns') }}
    where user_id is not null and {{ is_touched('event_date') }}
),

active_days as (
    select
        user_id,
        event_date,
        min(occurred_at) as first_event_at,
        count(*) as event_count,
        count(case when event_name = 'assistant.suggestion.shown' then 1 end)
            as suggestion_shown_count,
        count(case when event_name = 'assistant.suggestion.accepted' then 1 end)
            as suggestion_accepted_count,
        count(case when event_name = 'assistant.suggestion.rejected' then 1 end)
            as suggestion_rejected_count,
        count(case when event_name = 'assistant.response.shown' then 1 end)
            as response_shown_count
    from events
    group by user_id, event_date
),

turn_days as (
    select
        user_id,
        event_date,
        count(*) as turn_count,
        cast(sum(coalesce(input_tokens, 0)) as bigint) as input_tokens,
        cast(sum(coalesce(output_tokens, 0)) as bigint) as output_tokens,
        sum(cost_usd) as cost_usd
    from turns
    group by user_id, event_date
)

select
    active_days.user_id,
    active_days.event_date,
    active_days.first_event_at,
    active_days.event_count,
    coalesce(turn_days.turn_count, 0) as turn_count,
    active_days.suggestion_shown_count,
    active_days.suggestion_accepted_count,
    active_days.suggestion_rejected_count,
    active_days.response_shown_count,
    coalesce(turn_days.input_tokens, 0) as input_tokens,
    coalesce(turn_days.output_tokens, 0) as output_tokens,
    turn_days.cost_usd
from active_days
left join turn_days
    on
        active_days.user_id = turn_days.user_id
        and active_days.event_date = turn_days.event_date
