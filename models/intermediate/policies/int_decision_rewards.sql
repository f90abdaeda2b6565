{#- What decisions earned: events of their trace, or of their user within the window. -#}
with

decisions as (
    select * from {{ ref('int_decisions_resolved') }}
    where propensity is not null
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

events as (
    select * from {{ ref('fct_events') }}
),

reward_events as (
    select
        decision_points.decision_point,
        decision_points.reward_join,
        decision_points.reward_attribute,
        decision_points.reward_window_minutes,
        events.event_id,
        events.user_id,
        events.trace_id,
        events.occurred_at,
        case
            when decision_points.reward_attribute is null then 1e0
            else {{ safe_cast_text('events.attributes[decision_points.reward_attribute]', 'double') }}
        end as reward
    from events
    inner join decision_points
        on events.event_name = decision_points.reward_event
),

by_trace as (
    select
        decisions.event_id,
        reward_events.reward_attribute,
        reward_events.reward
    from decisions
    inner join reward_events
        on
            decisions.decision_point = reward_events.decision_point
            and decisions.trace_id = reward_events.trace_id
    where
        reward_events.reward_join = 'trace'
        -- what shares a trace belongs together, even where clocks disagree on which came first
        and (
            reward_events.reward_window_minutes is null
            or {{ seconds_between('decisions.occurred_at', 'reward_events.occurred_at') }}
            <= reward_events.reward_window_minutes * 6e1
        )
),

by_user as (
    select
        decisions.event_id,
        reward_events.reward_attribute,
        reward_events.reward
    from decisions
    inner join reward_events
        on
            decisions.decision_point = reward_events.decision_point
            and decisions.user_id = reward_events.user_id
            and decisions.occurred_at <= reward_events.occurred_at
    where
        reward_events.reward_join = 'user'
        and (
            reward_events.reward_window_minutes is null
            or {{ seconds_between('decisions.occurred_at', 'reward_events.occurred_at') }}
            <= reward_events.reward_window_minutes * 6e1
        )
),

earned as (
    select * from by_trace
    union all
    select * from by_user
)

select
    event_id,
    -- an event that is the reward by itself is earned once, however often it is repeated
    case when max(reward_attribute) is null then max(reward) else {{ exact_sum('reward') }} end
        as reward
from earned
where reward is not null
group by event_id
