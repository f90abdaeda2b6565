{#- Ridge regression of each action's rewards on the context, as one matrix. The prior is the overall
    rate, and counts in every context for as many decisions as that of a cell. -#}
with

moments as (
    select * from {{ ref('int_policy_linear_moments') }}
),

features as (
    select * from {{ ref('int_policy_context_features') }}
),

-- the prior where a declared one counts for nothing, or every reward is the same, is the uniform one
priors as (
    select
        decision_point,
        case
            when max(prior_strength) > 0e0 and max(prior_mean) > 0e0 and max(prior_mean) < 1e0
                then max(prior_mean)
            else 5e-1
        end as prior_mean,
        case
            when max(prior_strength) > 0e0 and max(prior_mean) > 0e0 and max(prior_mean) < 1e0
                then max(prior_strength)
            else 2e0
        end as prior_strength
    from {{ ref('fct_policy_arms') }}
    group by decision_point
),

actions as (
    select distinct
        decision_point,
        action
    from moments
),

context_sizes as (
    select
        decision_point,
        context,
        count(*) as feature_count
    from features
    group by decision_point, context
),

-- variances of the features of a context add up to the prior's
ridges as (
    select
        priors.decision_point,
        priors.prior_mean,
        priors.prior_strength * max(context_sizes.feature_count) as ridge
    from priors
    inner join context_sizes
        on priors.decision_point = context_sizes.decision_point
    group by priors.decision_point, priors.prior_mean, priors.prior_strength
),

places as (
    select distinct
        decision_point,
        feature,
        place
    from features
),

-- the reward is the last row and the last column
axes as (
    select
        decision_point,
        feature,
        place
    from places
    union all
    select
        decision_point,
        'reward' as feature,
        max(place) + 1 as place
    from places
    group by decision_point
),

sizes as (
    select
        decision_point,
        count(*) as size
    from axes
    group by decision_point
),

-- rewards count from the overall rate, so that nothing known is that rate
grid as (
    select
        actions.decision_point,
        actions.action,
        ridges.prior_mean,
        sizes.size,
        rows_of.place * sizes.size + columns_of.place as place,
        case
            when rows_of.feature = 'reward' or columns_of.feature = 'reward'
                then
                    coalesce(moments.value, 0e0)
                    - ridges.prior_mean * coalesce(intercepts.value, 0e0)
            else
                coalesce(moments.value, 0e0)
                + case when rows_of.place = columns_of.place then ridges.ridge else 0e0 end
        end as value
    from actions
    inner join ridges
        on actions.decision_point = ridges.decision_point
    inner join sizes
        on actions.decision_point = sizes.decision_point
    inner join axes as rows_of
        on actions.decision_point = rows_of.decision_point
    inner join axes as columns_of
        on actions.decision_point = columns_of.decision_point
    left join moments
        on
            actions.decision_point = moments.decision_point
            and actions.action = moments.action
            and case when rows_of.feature = 'reward' then columns_of.feature else rows_of.feature end
            = moments.feature
            and case when rows_of.feature = 'reward' then 'reward' else columns_of.feature end
            = moments.other_feature
    left join moments as intercepts
        on
            actions.decision_point = intercepts.decision_point
            and actions.action = intercepts.action
            and case when rows_of.feature = 'reward' then columns_of.feature else rows_of.feature end
            = intercepts.feature
            and intercepts.other_feature = 'intercept'
)

select
    decision_point,
    action,
    prior_mean,
    size,
    {{ packed_list('place', 'value') }} as matrix
from grid
group by decision_point, action, prior_mean, size
