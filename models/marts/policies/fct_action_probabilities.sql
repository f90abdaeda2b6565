{#- Thompson sampling's probabilities over the exploration floor: what is served, and what a decision
    logs as its propensity. Where rewards are no shares nothing is preferred. -#}
with

beliefs as (
    select * from {{ ref('int_policy_beliefs') }}
),

chances as (
    select * from {{ ref('int_policy_chances') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

counted as (
    select
        beliefs.decision_point,
        beliefs.context,
        beliefs.action,
        beliefs.decisions,
        beliefs.alpha,
        beliefs.beta,
        decision_points.exploration_floor as declared_floor,
        count(*) over (partition by beliefs.decision_point, beliefs.context) as action_count,
        beliefs.alpha / nullif(beliefs.alpha + beliefs.beta, 0e0) as posterior_mean,
        -- no contender: others are better for sure
        case when beliefs.alpha is not null then coalesce(chances.chance, 0e0) end
            as thompson_probability
    from beliefs
    inner join decision_points
        on beliefs.decision_point = decision_points.decision_point
    left join chances
        on
            beliefs.decision_point = chances.decision_point
            and beliefs.context = chances.context
            and beliefs.action = chances.action
),

floored as (
    select
        counted.*,
        -- an action that is never taken is never learned of: no floor is 0 or above equal shares
        least(
            greatest(declared_floor, {{ var('minimum_exploration') }}), 1e0 / action_count
        ) as exploration_floor
    from counted
)

select
    decision_point,
    context,
    action,
    decisions,
    posterior_mean,
    thompson_probability,
    exploration_floor,
    case
        when thompson_probability is null then 1e0 / action_count
        else exploration_floor + (1e0 - action_count * exploration_floor) * thompson_probability
    end as probability,
    case when thompson_probability is null then 'uniform' else 'thompson' end as basis
from floored
