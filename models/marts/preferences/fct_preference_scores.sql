{{ overwrite_by('int_preference_user_versions', 'user_id', ['preference_dimensions']) }}
with

posteriors as (
    select * from {{ ref('int_preference_posteriors') }}
    where cut = 'now' and {{ is_touched('user_id') }}
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
    segment_name,
    segment_value,
    alpha / (alpha + beta) as score,
    score_lower,
    score_upper,
    everyone_term,
    context_term,
    segment_term,
    own_term,
    evidence_count,
    first_signal_at,
    last_signal_at
from with_intervals
