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

with_intervals as (
    select posteriors.*, 0e0 as score_lower, 1e0 as score_upper from posteriors
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
