with

users as (
    select * from {{ ref('dim_users') }}
),

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

scores as (
    select * from {{ ref('fct_preference_scores') }}
),

stated as (
    select * from {{ ref('int_preferences_stated') }}
),

best_scores as (
    select
        user_id,
        dimension,
        context,
        -- ties go to the value with more evidence, then to the last by name
        max_by(value, concat(
            lpad(cast(cast(round(score * 1e12) as bigint) as string), 15, '0'), '|',
            lpad(cast(evidence_count as string), 12, '0'), '|', value
        )) as value
    from scores
    group by user_id, dimension, context
),

inferred as (
    select scores.*
    from scores
    inner join best_scores
        on
            scores.user_id = best_scores.user_id
            and scores.dimension = best_scores.dimension
            and scores.context = best_scores.context
            and scores.value = best_scores.value
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
        stated.user_id,
        stated.dimension,
        stated.context
    from stated
    inner join personalizable
        on stated.user_id = personalizable.user_id
),

chosen as (
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        dimensions.default_value,
        coalesce(stated.value, stated_everywhere.value) as stated_value,
        case when stated.value is not null then stated.stated_at else stated_everywhere.stated_at end
            as stated_at,
        case when inferred.score >= dimensions.serve_threshold then inferred.value end
            as inferred_value,
        inferred.score,
        inferred.score_lower,
        inferred.score_upper,
        inferred.trials,
        inferred.successes,
        inferred.prior_mean,
        inferred.prior_strength,
        coalesce(inferred.evidence_count, 0) as evidence_count,
        inferred.last_signal_at,
        personalizable.user_id is not null as is_personalizable,
        users.is_excluded
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
            and personalizable.user_id is not null
    -- what is set for all contexts holds in each that has no setting of its own
    left join stated as stated_everywhere
        on
            surfaces.user_id = stated_everywhere.user_id
            and surfaces.dimension = stated_everywhere.dimension
            and stated_everywhere.context = 'all'
            and personalizable.user_id is not null
    left join inferred
        on
            surfaces.user_id = inferred.user_id
            and surfaces.dimension = inferred.dimension
            and surfaces.context = inferred.context
),

explained as (
    select
        chosen.*,
        case
            when stated_value is not null then 'stated'
            when inferred_value is not null then 'inferred'
            else 'default'
        end as kind
    from chosen
)

select
    user_id,
    dimension,
    context,
    coalesce(stated_value, inferred_value, default_value) as value,
    kind,
    case when kind = 'inferred' then score end as score,
    case when kind = 'inferred' then score_lower end as score_lower,
    case when kind = 'inferred' then score_upper end as score_upper,
    evidence_count,
    case
        when kind = 'stated' then 'You set this yourself.'
        when kind = 'inferred'
            then concat(
                'Signals from you: ', evidence_count, ', in favour ',
                {{ decimal_text('successes', 1) }}, ' of ', {{ decimal_text('trials', 1) }},
                '. What everybody does (', {{ decimal_text('prior_mean', 3) }},
                ') counts as ', {{ decimal_text('prior_strength', 1) }}, ' more. Score ',
                {{ decimal_text('score', 3) }}, ' (90% interval ',
                {{ decimal_text('score_lower', 3) }}, ' to ',
                {{ decimal_text('score_upper', 3) }}, ').'
            )
        when is_excluded then 'Default: a declaration leaves this user out.'
        when not is_personalizable then 'Default: no consent to personalization is in force.'
        when evidence_count = 0 then 'Default: nothing is known yet.'
        else concat(
            'Default: the best score, ', {{ decimal_text('score', 3) }},
            ', is below the threshold for serving.'
        )
    end as reason,
    case
        when kind = 'stated' then stated_at
        when kind = 'inferred' then last_signal_at
    end as valid_from
from explained
