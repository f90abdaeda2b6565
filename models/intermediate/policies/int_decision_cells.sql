{#- Decisions that an estimator cannot tell apart: all that off-policy values are made of. -#}
select
    decision_point,
    context,
    position,
    action,
    propensity,
    count(*) as decisions,
    {{ exact_sum('reward') }} as reward_sum,
    {{ exact_sum('reward * reward') }} as reward_square_sum,
    min(reward) as minimum_reward,
    max(reward) as maximum_reward
from {{ ref('fct_decisions') }}
where reward is not null
group by decision_point, context, position, action, propensity
