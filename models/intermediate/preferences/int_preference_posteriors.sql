{#- Beta posteriors of users' own evidence, now and at the quality cut, and the steps that lead to the
    score: everyone, the context, the segment, the user's own signals. -#}
{{ overwrite_by('int_preference_user_versions', 'user_id', ['preference_dimensions']) }}
with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where cut != 'half_life' and evidence_count > 0 and {{ is_touched('user_id') }}
),

priors as (
    select * from {{ ref('int_preference_priors') }}
),

user_groups as (
    select * from {{ ref('int_preference_user_groups') }}
    where {{ is_touched('user_id') }}
),

segment_priors as (
    select * from {{ ref('int_preference_segment_priors') }}
),

half_lives as (
    select * from {{ ref('int_preference_half_lives') }}
),

with_priors as (
    select
        evidence.*,
        case when half_lives.is_half_life_used then evidence.decayed_trials else evidence.raw_trials
        end as trials,
        case
            when half_lives.is_half_life_used then evidence.decayed_successes
            else evidence.raw_successes
        end as successes,
        priors.everyone_mean,
        priors.prior_mean as context_mean,
        coalesce(segment_priors.segment_mean, priors.prior_mean) as prior_mean,
        priors.prior_strength,
        priors.prior_kind,
        segment_priors.segment_name,
        segment_priors.segment_value
    from evidence
    inner join priors
        on
            evidence.cut = priors.cut
            and evidence.dimension = priors.dimension
            and evidence.context = priors.context
            and evidence.value = priors.value
    inner join half_lives
        on evidence.dimension = half_lives.dimension
    left join user_groups
        on
            evidence.cut = user_groups.cut
            and evidence.user_id = user_groups.user_id
            and evidence.dimension = user_groups.dimension
    left join segment_priors
        on
            evidence.cut = segment_priors.cut
            and evidence.dimension = segment_priors.dimension
            and evidence.context = segment_priors.context
            and evidence.value = segment_priors.value
            and user_groups.segment_name = segment_priors.segment_name
            and user_groups.segment_value = segment_priors.segment_value
)

select
    cut,
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
    successes + prior_mean * prior_strength as alpha,
    trials - successes + (1e0 - prior_mean) * prior_strength as beta,
    everyone_mean as everyone_term,
    context_mean - everyone_mean as context_term,
    prior_mean - context_mean as segment_term,
    (successes - prior_mean * trials) / (trials + prior_strength) as own_term,
    evidence_count,
    raw_trials,
    raw_successes,
    first_signal_at,
    last_signal_at,
    last_favourable_at
from with_priors
