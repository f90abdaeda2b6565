with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
),

priors as (
    select * from {{ ref('int_preference_priors') }}
),

posteriors as (
    select
        evidence.*,
        priors.prior_mean,
        priors.prior_strength,
        priors.prior_kind,
        evidence.successes + priors.prior_mean * priors.prior_strength as alpha,
        evidence.trials - evidence.successes + (1e0 - priors.prior_mean) * priors.prior_strength
            as beta
    from evidence
    inner join priors
        on
            evidence.dimension = priors.dimension
            and evidence.context = priors.context
            and evidence.value = priors.value
),

-- many users share their counts: quantiles are computed once for each pair of parameters
posterior_shapes as (
    select distinct
        alpha,
        beta
    from posteriors
),

{{ beta_quantile(
    'posterior_shapes', '0.05e0', 'alpha', 'beta', output='score_lower', name='lower_limits'
) }},

{{ beta_quantile(
    'lower_limits', '0.95e0', 'alpha', 'beta', output='score_upper', name='limits'
) }},

with_intervals as (
    select
        posteriors.*,
        limits.score_lower,
        limits.score_upper
    from posteriors
    left join limits
        on
            posteriors.alpha = limits.alpha
            and posteriors.beta = limits.beta
)

select
    user_id,
    dimension,
    context,
    value,
    trials,
    successes,
    prior_mean,
    prior_strength,
    prior_kind,
    alpha / (alpha + beta) as score,
    score_lower,
    score_upper,
    evidence_count,
    last_signal_at
from with_intervals
