{{ overwrite_by('int_preference_user_versions', 'user_id', ['preference_dimensions', 'preference_values']) }}
with

users as (
    select * from {{ ref('dim_users') }}
    where {{ is_touched('user_id') }}
),

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
    where {{ is_touched('user_id') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

inferred as (
    select * from {{ ref('int_preferences_inferred') }}
    where {{ is_touched('user_id') }}
),

scores as (
    select * from {{ ref('fct_preference_scores') }}
    where {{ is_touched('user_id') }}
),

stated as (
    select stated.*
    from {{ ref('int_preferences_stated') }} as stated
    inner join personalizable
        on stated.user_id = personalizable.user_id
),

surfaces as (
    select
        users.user_id,
        dimensions.dimension,
        'all' as context
    from users
    cross join dimensions
    union
    select
        user_id,
        dimension,
        context
    from inferred
    union
    select
        user_id,
        dimension,
        context
    from stated
),

chosen as (
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        users.is_excluded,
        personalizable.user_id is not null as is_personalizable,
        coalesce(stated.stated_at, stated_everywhere.stated_at) as stated_at,
        coalesce(inferred.evidence_count, 0) as evidence_count,
        inferred.score as best_score,
        case
            when stated.value is not null or stated_everywhere.value is not null then 'stated'
            when inferred.score >= dimensions.serve_threshold and inferred.evidence_count > 0
                then 'inferred'
            else 'default'
        end as kind,
        coalesce(
            stated.value,
            stated_everywhere.value,
            case when inferred.score >= dimensions.serve_threshold then inferred.value end,
            dimensions.default_value
        ) as value,
        -- scores are those of a value that behaviour, the user's or everybody's, speaks for
        case
            when
                stated.value is null
                and stated_everywhere.value is null
                and inferred.score >= dimensions.serve_threshold
                then inferred.value
        end as scored_value
    from surfaces
    inner join users
        on surfaces.user_id = users.user_id
    inner join dimensions
        on surfaces.dimension = dimensions.dimension
    left join personalizable
        on surfaces.user_id = personalizable.user_id
    left join stated
        on
            surfaces.user_id = stated.user_id
            and surfaces.dimension = stated.dimension
            and surfaces.context = stated.context
    -- what is set for all contexts holds in each that has no setting of its own
    left join stated as stated_everywhere
        on
            surfaces.user_id = stated_everywhere.user_id
            and surfaces.dimension = stated_everywhere.dimension
            and stated_everywhere.context = 'all'
    left join inferred
        on
            surfaces.user_id = inferred.user_id
            and surfaces.dimension = inferred.dimension
            and surfaces.context = inferred.context
),

explained as (
    select
        chosen.*,
        inferred.trials,
        inferred.successes,
        inferred.prior_mean,
        inferred.prior_strength,
        inferred.segment,
        inferred.score,
        scores.score_lower,
        scores.score_upper,
        inferred.everyone_term,
        inferred.context_term,
        inferred.segment_term,
        inferred.own_term,
        inferred.first_signal_at,
        inferred.last_signal_at
    from chosen
    left join inferred
        on
            chosen.user_id = inferred.user_id
            and chosen.dimension = inferred.dimension
            and chosen.context = inferred.context
            and chosen.scored_value = inferred.value
    left join scores
        on
            chosen.user_id = scores.user_id
            and chosen.dimension = scores.dimension
            and chosen.context = scores.context
            and chosen.scored_value = scores.value
)

select
    user_id,
    dimension,
    context,
    value,
    kind,
    score,
    score_lower,
    score_upper,
    evidence_count,
    {{ preference_reason('explained') }} as reason,
    case
        when kind = 'stated' then stated_at
        when kind = 'inferred' then last_signal_at
    end as valid_from,
    trials,
    successes,
    prior_mean,
    prior_strength,
    segment,
    everyone_term,
    context_term,
    segment_term,
    own_term,
    first_signal_at,
    last_signal_at,
    {{ json_text(preference_why('explained')) }} as why
from explained
