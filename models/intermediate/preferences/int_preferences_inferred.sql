{#- The best value of each user, dimension and context. A value without signals from the user has
    exactly the prior of the user's segment, or else of everybody. -#}
with

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
),

posteriors as (
    select * from {{ ref('int_preference_posteriors') }}
    where cut = 'now'
),

priors as (
    select * from {{ ref('int_preference_priors') }}
    where cut = 'now'
),

user_segments as (
    select * from {{ ref('int_preference_user_segments') }}
    where cut = 'now'
),

segment_priors as (
    select * from {{ ref('int_preference_segment_priors') }}
    where cut = 'now'
),

user_groups as (
    select
        user_segments.user_id,
        segment_priors.*
    from user_segments
    inner join segment_priors
        on
            user_segments.dimension = segment_priors.dimension
            and user_segments.segment_name = segment_priors.segment_name
            and user_segments.segment_value = segment_priors.segment_value
),

surfaces as (
    select
        personalizable.user_id,
        dimensions.dimension,
        'all' as context
    from personalizable
    cross join {{ ref('stg_declarations__preference_dimensions') }} as dimensions
    union
    select
        user_id,
        dimension,
        context
    from posteriors
),

candidates as (
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        priors.value,
        coalesce(posteriors.trials, 0e0) as trials,
        coalesce(posteriors.successes, 0e0) as successes,
        coalesce(posteriors.prior_mean, user_groups.segment_mean, priors.prior_mean) as prior_mean,
        priors.prior_strength,
        priors.everyone_mean as everyone_term,
        priors.prior_mean - priors.everyone_mean as context_term,
        coalesce(user_groups.segment_mean - priors.prior_mean, 0e0) as segment_term,
        coalesce(posteriors.own_term, 0e0) as own_term,
        case
            when user_groups.segment_name is not null
                then concat(user_groups.segment_name, '=', user_groups.segment_value)
        end as segment,
        coalesce(posteriors.evidence_count, 0) as evidence_count,
        posteriors.first_signal_at,
        posteriors.last_signal_at
    from surfaces
    inner join priors
        on
            surfaces.dimension = priors.dimension
            and surfaces.context = priors.context
    left join posteriors
        on
            surfaces.user_id = posteriors.user_id
            and priors.dimension = posteriors.dimension
            and priors.context = posteriors.context
            and priors.value = posteriors.value
    left join user_groups
        on
            surfaces.user_id = user_groups.user_id
            and priors.dimension = user_groups.dimension
            and priors.context = user_groups.context
            and priors.value = user_groups.value
),

scored as (
    select
        candidates.*,
        (successes + prior_mean * prior_strength) / (trials + prior_strength) as score
    from candidates
),

ranked as (
    select
        scored.*,
        row_number() over (
            partition by user_id, dimension, context
            order by {{ choice_key('score', 'evidence_count', 'value') }} desc
        ) as position
    from scored
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
    segment,
    score,
    everyone_term,
    context_term,
    segment_term,
    own_term,
    evidence_count,
    first_signal_at,
    last_signal_at
from ranked
where position = 1
