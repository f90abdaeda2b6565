{#- How likely each mean reward of an action is, as a curve over a line without ends: the log-odds of
    a Beta posterior, or the reward itself under a Normal one where rewards are no shares. -#}
with

arms as (
    select * from {{ ref('fct_policy_arms') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

policies as (
    select * from {{ ref('stg_declarations__target_policies') }}
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
    from policies
),

-- what is served in a context that was never seen: all contexts taken together
contexts as (
    select
        decision_point,
        context
    from arms
    union
    select
        decision_point,
        'all' as context
    from decision_points
),

counted as (
    select
        decision_point,
        context,
        action,
        decisions,
        reward_sum
    from arms
    where context != 'all'
    union all
    select
        decision_point,
        'all' as context,
        action,
        cast(sum(decisions) as bigint) as decisions,
        {{ exact_sum('reward_sum') }} as reward_sum
    from arms
    group by decision_point, action
),

overall as (
    select
        decision_point,
        max(prior_mean) as prior_mean,
        count(alpha) = count(*) as has_shares_as_rewards,
        sqrt(
            greatest(
                {{ exact_sum('reward_square_sum') }}
                - {{ exact_sum('reward_sum') }} * {{ exact_sum('reward_sum') }} / sum(decisions),
                0e0
            )
            / greatest(sum(decisions) - 1, 1)
        ) as reward_std_dev
    from arms
    group by decision_point
),

known as (
    select
        contexts.decision_point,
        contexts.context,
        actions.action,
        coalesce(counted.decisions, 0) as decisions,
        coalesce(counted.reward_sum, 0e0) as reward_sum,
        coalesce(overall.has_shares_as_rewards, true) as has_shares_as_rewards,
        coalesce(overall.prior_mean, 0.5e0) as prior_mean,
        overall.reward_std_dev,
        decision_points.reward_prior_strength as prior_strength
    from contexts
    inner join actions
        on contexts.decision_point = actions.decision_point
    inner join decision_points
        on contexts.decision_point = decision_points.decision_point
    left join overall
        on contexts.decision_point = overall.decision_point
    left join counted
        on
            contexts.decision_point = counted.decision_point
            and contexts.context = counted.context
            and actions.action = counted.action
),

posteriors as (
    select
        known.*,
        reward_sum + prior_strength * prior_mean as alpha,
        decisions - reward_sum + prior_strength * (1e0 - prior_mean) as beta,
        -- nothing at all cannot be drawn from: it counts as one decision
        greatest(decisions + prior_strength, 1e0) as strength
    from known
),

-- a side without any weight has no curve: Jeffreys' half
proper as (
    select
        decision_point,
        context,
        action,
        decisions,
        has_shares_as_rewards,
        case when has_shares_as_rewards then alpha + if(least(alpha, beta) <= 0e0, 0.5e0, 0e0) end
            as alpha,
        case when has_shares_as_rewards then beta + if(least(alpha, beta) <= 0e0, 0.5e0, 0e0) end
            as beta,
        (
            reward_sum + prior_strength * prior_mean
            + (strength - decisions - prior_strength) * prior_mean
        ) / strength as mean_reward,
        greatest(reward_std_dev / sqrt(strength), 1e-12) as mean_reward_std_error
    from posteriors
)

select
    decision_point,
    context,
    action,
    decisions,
    alpha,
    beta,
    case when has_shares_as_rewards then ln(alpha / beta) else mean_reward end as centre,
    case when has_shares_as_rewards then sqrt(1e0 / alpha + 1e0 / beta) else mean_reward_std_error end
        as spread,
    -- the log-odds of a Beta fall off like exp(alpha t) on the left and exp(-beta t) on the right
    case when has_shares_as_rewards then 2.5e1 / alpha else 0e0 end as left_tail,
    case when has_shares_as_rewards then 2.5e1 / beta else 0e0 end as right_tail
from proper
