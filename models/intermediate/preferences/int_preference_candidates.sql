{#- Every value of every surface of a user, now and at the cut that quality is judged at. A value without
    signals from the user has exactly the prior of the user's segment, or else of everybody. -#}
{{ overwrite_by('int_preference_user_versions', 'user_id', ['preference_dimensions']) }}
with

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
    where {{ is_touched('user_id') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

posteriors as (
    select * from {{ ref('int_preference_posteriors') }}
    where cut in ('now', 'quality') and {{ is_touched('user_id') }}
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

outcomes as (
    select * from {{ ref('int_preference_outcomes') }}
    where cut = 'quality' and {{ is_touched('user_id') }}
),

surfaces as (
    select
        'now' as cut,
        personalizable.user_id,
        dimensions.dimension,
        'all' as context
    from personalizable
    cross join dimensions
    union
    select
        cut,
        user_id,
        dimension,
        context
    from posteriors
    where cut = 'now'
    union
    select
        cut,
        user_id,
        dimension,
        context
    from outcomes
)

select
    surfaces.cut,
    surfaces.user_id,
    surfaces.dimension,
    surfaces.context,
    priors.value,
    coalesce(posteriors.trials, 0e0) as trials,
    coalesce(posteriors.successes, 0e0) as successes,
    coalesce(posteriors.raw_trials, 0e0) as raw_trials,
    coalesce(posteriors.raw_successes, 0e0) as raw_successes,
    priors.prior_mean as context_mean,
    coalesce(segment_priors.segment_mean, priors.prior_mean) as prior_mean,
    priors.prior_strength,
    case
        when segment_priors.segment_name is not null
            then concat(segment_priors.segment_name, '=', segment_priors.segment_value)
    end as segment,
    priors.everyone_mean as everyone_term,
    priors.prior_mean - priors.everyone_mean as context_term,
    coalesce(segment_priors.segment_mean - priors.prior_mean, 0e0) as segment_term,
    coalesce(posteriors.own_term, 0e0) as own_term,
    coalesce(
        posteriors.alpha / (posteriors.alpha + posteriors.beta),
        segment_priors.segment_mean,
        priors.prior_mean
    ) as score,
    coalesce(posteriors.evidence_count, 0) as evidence_count,
    posteriors.first_signal_at,
    posteriors.last_signal_at,
    posteriors.last_favourable_at
from surfaces
inner join priors
    on
        surfaces.cut = priors.cut
        and surfaces.dimension = priors.dimension
        and surfaces.context = priors.context
left join posteriors
    on
        surfaces.cut = posteriors.cut
        and surfaces.user_id = posteriors.user_id
        and priors.dimension = posteriors.dimension
        and priors.context = posteriors.context
        and priors.value = posteriors.value
left join user_groups
    on
        surfaces.cut = user_groups.cut
        and surfaces.user_id = user_groups.user_id
        and priors.dimension = user_groups.dimension
left join segment_priors
    on
        surfaces.cut = segment_priors.cut
        and priors.dimension = segment_priors.dimension
        and priors.context = segment_priors.context
        and priors.value = segment_priors.value
        and user_groups.segment_name = segment_priors.segment_name
        and user_groups.segment_value = segment_priors.segment_value
