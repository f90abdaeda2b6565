with

decisions as (
    select * from {{ ref('int_decisions_resolved') }}
    where propensity is not null
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

rewards as (
    select * from {{ ref('int_decision_rewards') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
)

select
    decisions.event_id,
    decisions.decision_point,
    decisions.event_date,
    decisions.occurred_at,
    decisions.user_id,
    decisions.session_id,
    decisions.organization_id,
    decisions.unit_id,
    decisions.trace_id,
    decisions.context,
    decisions.position,
    decisions.action,
    decisions.propensity,
    case
        -- counted before its window has passed, a decision would earn too little
        when
            {{ seconds_between('decisions.occurred_at', 'as_of.as_of') }}
            < decision_points.reward_window_minutes * 6e1
            then null
        when decision_points.reward_join = 'trace' and decisions.trace_id is null then null
        when decision_points.reward_join = 'user' and decisions.user_id is null then null
        else coalesce(rewards.reward, 0e0)
    end as reward
from decisions
inner join decision_points
    on decisions.decision_point = decision_points.decision_point
cross join as_of
left join rewards
    on decisions.event_id = rewards.event_id
