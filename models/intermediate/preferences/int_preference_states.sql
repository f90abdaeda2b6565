{#- What today's priors and rules would have served at the end of each day that said something. -#}
with

days as (
    select * from {{ ref('int_preference_state_days') }}
),

evidence as (
    select * from {{ ref('int_preference_state_evidence') }}
),

priors as (
    select * from {{ ref('int_preference_priors') }}
    where cut = 'now'
),

user_groups as (
    select * from {{ ref('int_preference_user_groups') }}
    where cut = 'now'
),

segment_priors as (
    select * from {{ ref('int_preference_segment_priors') }}
    where cut = 'now'
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

preference_values as (
    select * from {{ ref('stg_declarations__preference_values') }}
),

settings as (
    select controls.*
    from {{ ref('int_preference_controls') }} as controls
    inner join preference_values
        on
            controls.dimension = preference_values.dimension
            and controls.value = preference_values.value
    where not controls.is_reset
),

new_signals as (
    select
        user_id,
        dimension,
        context,
        state_date,
        cast(sum(new_count) as bigint) as new_count
    from evidence
    group by user_id, dimension, context, state_date
),

scored as (
    select
        days.user_id,
        days.dimension,
        days.context,
        days.state_date,
        priors.value,
        coalesce(evidence.evidence_count, 0) as evidence_count,
        (
            coalesce(evidence.successes, 0e0)
            + coalesce(segment_priors.segment_mean, priors.prior_mean) * priors.prior_strength
        ) / (coalesce(evidence.trials, 0e0) + priors.prior_strength) as score
    from days
    inner join priors
        on
            days.dimension = priors.dimension
            and days.context = priors.context
    left join evidence
        on
            days.user_id = evidence.user_id
            and days.dimension = evidence.dimension
            and days.context = evidence.context
            and days.state_date = evidence.state_date
            and priors.value = evidence.value
    left join user_groups
        on
            days.user_id = user_groups.user_id
            and priors.dimension = user_groups.dimension
    left join segment_priors
        on
            priors.dimension = segment_priors.dimension
            and priors.context = segment_priors.context
            and priors.value = segment_priors.value
            and user_groups.segment_name = segment_priors.segment_name
            and user_groups.segment_value = segment_priors.segment_value
),

best as (
    select
        user_id,
        dimension,
        context,
        state_date,
        max(score) as score,
        max_by(value, {{ choice_key('score', 'evidence_count', 'value') }}) as value,
        max_by(evidence_count, {{ choice_key('score', 'evidence_count', 'value') }})
            as evidence_count
    from scored
    group by user_id, dimension, context, state_date
),

-- a setting for the context holds before one for all
stated as (
    select
        days.user_id,
        days.dimension,
        days.context,
        days.state_date,
        max_by(
            settings.value,
            concat(
                case when settings.context = 'all' then '0' else '1' end,
                {{ order_key('settings.occurred_at', 'settings.event_id') }}
            )
        ) as value
    from days
    inner join settings
        on
            days.user_id = settings.user_id
            and days.dimension = settings.dimension
            and settings.context in (days.context, 'all')
            and settings.event_date <= days.state_date
            and coalesce(settings.occurred_at > days.reset_at, true)
    group by days.user_id, days.dimension, days.context, days.state_date
)

select
    days.user_id,
    days.dimension,
    days.context,
    days.state_date,
    coalesce(new_signals.new_count, 0) as new_count,
    days.reset_date,
    coalesce(
        stated.value,
        case when best.score >= dimensions.serve_threshold then best.value end,
        dimensions.default_value
    ) as value,
    case
        when stated.value is not null then 'stated'
        when best.score >= dimensions.serve_threshold and best.evidence_count > 0 then 'inferred'
        else 'default'
    end as kind
from days
inner join dimensions
    on days.dimension = dimensions.dimension
left join best
    on
        days.user_id = best.user_id
        and days.dimension = best.dimension
        and days.context = best.context
        and days.state_date = best.state_date
left join stated
    on
        days.user_id = stated.user_id
        and days.dimension = stated.dimension
        and days.context = stated.context
        and days.state_date = stated.state_date
left join new_signals
    on
        days.user_id = new_signals.user_id
        and days.dimension = new_signals.dimension
        and days.context = new_signals.context
        and days.state_date = new_signals.state_date
