{#- What the population shows before a user's own evidence: mean, and strength by weighted moments
    (Kleinman 1973) on undecayed counts; 1 / (strength + 1) is the correlation within a user. -#}
with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
),

totals as (
    select
        dimension,
        context,
        value,
        count(*) as user_count,
        {{ exact_sum('raw_trials') }} as trials,
        {{ exact_sum('raw_successes') }} as successes,
        {{ exact_sum('raw_trials * raw_trials') }} as trials_square_sum,
        {{ exact_sum('raw_successes * raw_successes / nullif(raw_trials, 0e0)') }} as weighted_square_sum
    from evidence
    where raw_trials > 0e0
    group by dimension, context, value
),

moments as (
    select
        totals.*,
        successes / nullif(trials, 0e0) as prior_mean,
        weighted_square_sum - successes * successes / nullif(trials, 0e0) as between_users,
        (successes / nullif(trials, 0e0)) * (1e0 - successes / nullif(trials, 0e0)) as within_users,
        trials - trials_square_sum / nullif(trials, 0e0) - (user_count - 1) as effective_trials
    from totals
),

correlations as (
    select
        moments.*,
        (between_users - within_users * (user_count - 1))
        / nullif(within_users * effective_trials, 0e0) as correlation
    from moments
)

select
    dimension,
    context,
    value,
    user_count,
    trials,
    prior_mean,
    correlation,
    case
        when user_count < 2 or correlation is null or correlation <= 0e0
            then {{ var('prior_strength_cap') }}
        else least(
            greatest((1e0 - correlation) / correlation, {{ var('prior_strength_floor') }}),
            {{ var('prior_strength_cap') }}
        )
    end as prior_strength,
    case
        when user_count < 2 then 'too_few_users'
        when correlation is null then 'no_variance'
        when correlation <= 0e0 then 'no_between_user_variance'
        when (1e0 - correlation) / correlation > {{ var('prior_strength_cap') }} then 'capped'
        when (1e0 - correlation) / correlation < {{ var('prior_strength_floor') }} then 'floored'
        else 'moments'
    end as prior_kind
from correlations
