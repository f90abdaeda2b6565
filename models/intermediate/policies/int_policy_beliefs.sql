{#- What is believed of each action before the next decision, also pooled over contexts ('all') and
    of declared actions that were never taken. Where the declared prior counts for nothing, or every
    reward is 0 or every one 1, it is the uniform one: a posterior without a prior may put all its
    weight on 0 or 1. Where effects add up, the Beta distribution has the mean of the linear posterior,
    and counts for as many decisions as its variance tells. -#}
with

arms as (
    select * from {{ ref('fct_policy_arms') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

target_policies as (
    select * from {{ ref('stg_declarations__target_policies') }}
),

pooled as (
    select
        decision_point,
        'all' as context,
        action,
        sum(decisions) as decisions,
        {{ exact_sum('reward_sum') }} as reward_sum,
        max(prior_mean) as prior_mean,
        max(prior_strength) as prior_strength,
        count(alpha) = count(*) as has_shares_as_rewards
    from arms
    group by decision_point, action
),

by_context as (
    select
        decision_point,
        context,
        action,
        decisions,
        reward_sum,
        prior_mean,
        prior_strength,
        alpha is not null as has_shares_as_rewards
    from arms
    where context != 'all'
    union all
    select
        decision_point,
        context,
        action,
        cast(decisions as bigint) as decisions,
        reward_sum,
        prior_mean,
        prior_strength,
        has_shares_as_rewards
    from pooled
),

contexts as (
    select distinct
        decision_point,
        context
    from by_context
    union
    select
        decision_point,
        'all' as context
    from decision_points
),

actions as (
    select
        decision_point,
        action
    from arms
    union
    select
        decision_point,
        action
    from target_policies
),

believed as (
    select
        contexts.decision_point,
        contexts.context,
        actions.action,
        coalesce(by_context.decisions, 0) as decisions,
        coalesce(by_context.reward_sum, 0e0) as reward_sum,
        coalesce(
            max(by_context.prior_mean) over (partition by contexts.decision_point), 5e-1
        ) as prior_mean,
        coalesce(
            max(by_context.prior_strength) over (partition by contexts.decision_point), 0e0
        ) as prior_strength,
        min(case when not by_context.has_shares_as_rewards then 0 else 1 end) over (
            partition by contexts.decision_point
        ) = 1 as has_shares_as_rewards
    from contexts
    inner join actions
        on contexts.decision_point = actions.decision_point
    left join by_context
        on
            contexts.decision_point = by_context.decision_point
            and contexts.context = by_context.context
            and actions.action = by_context.action
),

weighed as (
    select
        believed.*,
        prior_strength > 0e0 and prior_mean > 0e0 and prior_mean < 1e0 as has_prior
    from believed
),

linear_posteriors as (
    select
        decision_point,
        context,
        action,
        prior_mean,
        posterior_mean,
        1e0 / variance_factor as strength
    from {{ ref('int_policy_linear_posteriors') }}
    where context != 'all'
),

cell_posteriors as (
    select
        decision_point,
        context,
        action,
        decisions,
        case
            when has_shares_as_rewards
                then
                    reward_sum
                    + case when has_prior then prior_strength * prior_mean else 1e0 end
        end as alpha,
        case
            when has_shares_as_rewards
                then
                    decisions - reward_sum
                    + case
                        when has_prior then prior_strength * (1e0 - prior_mean) else 1e0
                    end
        end as beta
    from weighed
),

-- a linear mean may leave 0 to 1: one decision's worth of the prior is always left
bounded as (
    select
        cell_posteriors.*,
        linear_posteriors.strength,
        greatest(
            least(
                linear_posteriors.posterior_mean,
                1e0 - (1e0 - linear_posteriors.prior_mean) / (linear_posteriors.strength + 1e0)
            ),
            linear_posteriors.prior_mean / (linear_posteriors.strength + 1e0)
        ) as linear_mean
    from cell_posteriors
    left join linear_posteriors
        on
            cell_posteriors.decision_point = linear_posteriors.decision_point
            and cell_posteriors.context = linear_posteriors.context
            and cell_posteriors.action = linear_posteriors.action
)

select
    decision_point,
    context,
    action,
    decisions,
    case
        when alpha is not null then coalesce(linear_mean * strength, alpha)
    end as alpha,
    case
        when beta is not null then coalesce((1e0 - linear_mean) * strength, beta)
    end as beta
from bounded
