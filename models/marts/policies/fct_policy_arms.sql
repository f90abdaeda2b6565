with

cells as (
    select * from {{ ref('int_decision_cells') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

overall as (
    select
        cells.decision_point,
        decision_points.reward_prior_strength as prior_strength,
        {{ exact_sum('cells.reward_sum') }} / sum(cells.decisions) as prior_mean,
        min(cells.minimum_reward) as minimum_reward,
        max(cells.maximum_reward) as maximum_reward
    from cells
    inner join decision_points
        on cells.decision_point = decision_points.decision_point
    group by cells.decision_point, decision_points.reward_prior_strength
),

contexts as (
    select distinct
        decision_point,
        context
    from cells
),

actions as (
    select distinct
        decision_point,
        action
    from cells
),

taken as (
    select
        decision_point,
        context,
        action,
        cast(sum(decisions) as bigint) as decisions,
        {{ exact_sum('reward_sum') }} as reward_sum,
        {{ exact_sum('reward_square_sum') }} as reward_square_sum
    from cells
    group by decision_point, context, action
),

-- an action may be new to a context: what is known of it there is the prior
arms as (
    select
        contexts.decision_point,
        contexts.context,
        actions.action,
        coalesce(taken.decisions, 0) as decisions,
        coalesce(taken.reward_sum, 0e0) as reward_sum,
        coalesce(taken.reward_square_sum, 0e0) as reward_square_sum,
        overall.prior_mean,
        overall.prior_strength,
        overall.minimum_reward >= 0e0 and overall.maximum_reward <= 1e0 as has_shares_as_rewards
    from contexts
    inner join actions
        on contexts.decision_point = actions.decision_point
    inner join overall
        on contexts.decision_point = overall.decision_point
    left join taken
        on
            contexts.decision_point = taken.decision_point
            and contexts.context = taken.context
            and actions.action = taken.action
),

posteriors as (
    select
        arms.*,
        case
            when has_shares_as_rewards then reward_sum + prior_strength * prior_mean
        end as alpha,
        case
            when has_shares_as_rewards
                then decisions - reward_sum + prior_strength * (1e0 - prior_mean)
        end as beta
    from arms
),

posterior_shapes as (
    select distinct
        alpha,
        beta
    from posteriors
),

{{ beta_quantile(
    'posterior_shapes', '0.05e0', 'alpha', 'beta', output='posterior_lower', name='lower_limits'
) }},

{{ beta_quantile(
    'lower_limits', '0.95e0', 'alpha', 'beta', output='posterior_upper', name='limits'
) }}

select
    posteriors.decision_point,
    posteriors.context,
    posteriors.action,
    posteriors.decisions,
    posteriors.reward_sum,
    posteriors.reward_square_sum,
    posteriors.prior_mean,
    posteriors.prior_strength,
    posteriors.alpha,
    posteriors.beta,
    posteriors.alpha / nullif(posteriors.alpha + posteriors.beta, 0e0) as posterior_mean,
    limits.posterior_lower,
    limits.posterior_upper
from posteriors
left join limits
    on
        posteriors.alpha = limits.alpha
        and posteriors.beta = limits.beta
