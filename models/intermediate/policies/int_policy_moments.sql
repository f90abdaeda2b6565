{#- Weighted sums of each cell under each target policy: the estimators need no decision any more.
    Apart where the weight is over the limit that switch-DR trusts. -#}
with

logged as (
    select * from {{ ref('int_decision_cells') }}
),

policy_cells as (
    select * from {{ ref('int_policy_cells') }}
),

weighted as (
    select
        policy_cells.policy_name,
        logged.*,
        policy_cells.probability / nullif(logged.propensity, 0e0) as weight
    from logged
    inner join policy_cells
        on
            logged.decision_point = policy_cells.decision_point
            and logged.fold = policy_cells.fold
            and logged.context = policy_cells.context
            and logged.position = policy_cells.position
            and logged.action = policy_cells.action
)

select
    policy_name,
    decision_point,
    fold,
    context,
    position,
    action,
    weight > {{ var('switch_weight_limit') }} as is_over_limit,
    cast(sum(decisions) as bigint) as decisions,
    sum(reward_sum) as reward_sum,
    sum(weight * decisions) as weight_sum,
    sum(weight * weight * decisions) as square_weight_sum,
    sum(weight * reward_sum) as weighted_reward_sum,
    sum(weight * weight * reward_sum) as square_weighted_reward_sum,
    sum(weight * weight * reward_square_sum) as square_weighted_reward_square_sum,
    max(weight) as maximum_weight
from weighted
group by
    policy_name,
    decision_point,
    fold,
    context,
    position,
    action,
    weight > {{ var('switch_weight_limit') }}
