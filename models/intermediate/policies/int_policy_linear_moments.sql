{#- A = sum of x x' and b = sum of r x, in long form: they add up over any split of the decisions. -#}
with

cells as (
    select * from {{ ref('int_decision_cells') }}
),

features as (
    select * from {{ ref('int_policy_context_features') }}
),

taken as (
    select
        decision_point,
        context,
        action,
        sum(decisions) as decisions,
        {{ exact_sum('reward_sum') }} as reward_sum
    from cells
    group by decision_point, context, action
),

-- the reward stands beside the features as one more column
products as (
    select
        taken.decision_point,
        taken.action,
        features.feature,
        other_features.feature as other_feature,
        cast(taken.decisions as double) as product
    from taken
    inner join features
        on
            taken.decision_point = features.decision_point
            and taken.context = features.context
    inner join features as other_features
        on
            taken.decision_point = other_features.decision_point
            and taken.context = other_features.context
    union all
    select
        taken.decision_point,
        taken.action,
        features.feature,
        'reward' as other_feature,
        taken.reward_sum as product
    from taken
    inner join features
        on
            taken.decision_point = features.decision_point
            and taken.context = features.context
)

select
    decision_point,
    action,
    feature,
    other_feature,
    {{ exact_sum('product') }} as value
from products
group by decision_point, action, feature, other_feature
