{#- What was served at the cut and what simpler rules would have said, beside what users did next. All
    values of a context have a row: rules are also judged by how they order them. -#}
{%- set models = ['served', 'popularity', 'segment_popularity', 'last_choice', 'raw_counts'] %}
with

candidates as (
    select * from {{ ref('int_preference_candidates') }}
    where cut = 'quality'
),

outcomes as (
    select * from {{ ref('int_preference_outcomes') }}
    where cut = 'quality'
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

controls as (
    select * from {{ ref('int_preference_controls') }}
    where not is_reset and context = 'all'
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where cut = 'quality'
),

resets as (
    select * from {{ ref('int_preference_resets') }}
),

stated as (
    select
        controls.user_id,
        controls.dimension,
        max_by(
            controls.value, {{ order_key('controls.occurred_at', 'controls.event_id') }}
        ) as value
    from controls
    inner join cuts
        on controls.event_date < cuts.evidence_until
    left join resets
        on
            controls.user_id = resets.user_id
            and controls.dimension = resets.dimension
    where coalesce(controls.occurred_at > resets.reset_at, true)
    group by controls.user_id, controls.dimension
),

tried as (
    select
        dimension,
        context,
        value,
        {{ exact_sum('trials') }} as trials
    from outcomes
    group by dimension, context, value
),

-- What is shown more often is liked more often: favourable signals count as if all values of a
-- context had been tried as often.
evened as (
    select
        dimension,
        context,
        value,
        avg(trials) over (partition by dimension, context) / trials as relevance_weight
    from tried
),

surface_bests as (
    select
        user_id,
        dimension,
        context,
        max(score) as best_score,
        max_by(
            value,
            case
                when last_favourable_at is not null
                    then {{ order_key('last_favourable_at', 'value') }}
            end
        ) as last_choice,
        max(last_favourable_at) as last_favourable_at
    from candidates
    group by user_id, dimension, context
),

compared as (
    select
        candidates.user_id,
        candidates.dimension,
        candidates.context,
        candidates.value,
        coalesce(outcomes.signal_count, 0) as signal_count,
        coalesce(outcomes.favourable_count, 0) as favourable_count,
        coalesce(outcomes.is_binary, false) as is_binary,
        coalesce(outcomes.trials, 0e0) as trials,
        coalesce(outcomes.successes, 0e0) as successes,
        coalesce(outcomes.successes * evened.relevance_weight, 0e0) as relevance,
        candidates.successes + candidates.prior_mean * candidates.prior_strength as alpha,
        candidates.trials - candidates.successes
        + (1e0 - candidates.prior_mean) * candidates.prior_strength as beta,
        candidates.score as served,
        candidates.context_mean as popularity,
        candidates.prior_mean as segment_popularity,
        -- one signal's worth of trust in the last choice
        case
            when surface_bests.last_favourable_at is null then candidates.context_mean
            when surface_bests.last_choice = candidates.value
                then (candidates.context_mean + 1e0) / 2e0
            else candidates.context_mean / 2e0
        end as last_choice,
        (candidates.raw_successes + 1e0) / (candidates.raw_trials + 2e0) as raw_counts,
        -- what was stated comes first, and the default where no score reached the threshold
        case
            when stated.value = candidates.value then 3e0
            when
                surface_bests.best_score < dimensions.serve_threshold
                and candidates.value = dimensions.default_value then 2e0
            else candidates.score
        end as served_order
    from candidates
    inner join surface_bests
        on
            candidates.user_id = surface_bests.user_id
            and candidates.dimension = surface_bests.dimension
            and candidates.context = surface_bests.context
    inner join dimensions
        on candidates.dimension = dimensions.dimension
    left join outcomes
        on
            candidates.user_id = outcomes.user_id
            and candidates.dimension = outcomes.dimension
            and candidates.context = outcomes.context
            and candidates.value = outcomes.value
    left join evened
        on
            candidates.dimension = evened.dimension
            and candidates.context = evened.context
            and candidates.value = evened.value
    left join stated
        on
            candidates.user_id = stated.user_id
            and candidates.dimension = stated.dimension
)

select
    user_id,
    dimension,
    context,
    value,
    signal_count,
    favourable_count,
    is_binary,
    trials,
    successes,
    relevance,
    alpha,
    beta,
    {%- for model in models %}
    {{ clipped_share(model) }} as {{ model }}_score,
    row_number() over (
        partition by user_id, dimension, context
        order by
            round({{ 'served_order' if model == 'served' else model }}, 12) desc,
            round(popularity, 12) desc,
            value asc
    ) as {{ model }}_position,
    {%- endfor %}
    row_number() over (
        partition by user_id, dimension, context
        order by relevance desc, value asc
    ) as best_position
from compared
