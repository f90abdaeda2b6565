{#- Decisions that an estimator cannot tell apart: all that off-policy values are made of. Folds are of
    users, so that what one of them does is in one fold. -#}
with

decisions as (
    select * from {{ ref('fct_decisions') }}
    where reward is not null
),

decision_points as (
    select
        decision_point,
        reward_model_folds
    from {{ ref('stg_declarations__decision_points') }}
),

digested as (
    select
        decisions.decision_point,
        decisions.context,
        decisions.position,
        decisions.action,
        decisions.propensity,
        decisions.reward,
        decision_points.reward_model_folds,
        case
            when decision_points.reward_model_folds > 1
                then md5(concat(
                    decisions.decision_point, ':', coalesce(decisions.user_id, decisions.event_id)
                ))
        end as digest
    from decisions
    inner join decision_points
        on decisions.decision_point = decision_points.decision_point
),

folded as (
    select
        digested.*,
        case
            when digest is null then 0
            else cast(floor(reward_model_folds * {{ hash_share('digest') }}) as bigint)
        end as fold
    from digested
)

select
    decision_point,
    fold,
    context,
    position,
    action,
    propensity,
    count(*) as decisions,
    {{ exact_sum('reward') }} as reward_sum,
    {{ exact_sum('reward * reward') }} as reward_square_sum,
    min(reward) as minimum_reward,
    max(reward) as maximum_reward
from folded
group by decision_point, fold, context, position, action, propensity
