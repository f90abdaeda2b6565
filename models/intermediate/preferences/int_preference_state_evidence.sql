{#- Evidence that counted at the end of each day that may have changed what is served. -#}
with

state_days as (
    select * from {{ ref('int_preference_state_days') }}
),

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
    where not is_reset
),

half_lives as (
    select * from {{ ref('int_preference_half_lives') }}
),

surface_partials as (
    select
        partials.*,
        'all' as surface
    from partials
    union all
    select
        partials.*,
        partials.context as surface
    from partials
    where partials.context != 'all'
)

select
    state_days.user_id,
    state_days.dimension,
    state_days.context,
    state_days.state_date,
    surface_partials.value,
    cast(sum(
        case
            when surface_partials.event_date = state_days.state_date
                then surface_partials.evidence_count
            else 0
        end
    ) as bigint) as new_count,
    cast(sum(surface_partials.evidence_count) as bigint) as evidence_count,
    {%- for column in ['trials', 'successes'] %}
    {{ exact_sum(
        'case when half_lives.is_half_life_used then surface_partials.decayed_' ~ column
        ~ ' * power(0.5e0, '
        ~ days_between('surface_partials.event_date', 'state_days.state_date')
        ~ ' / half_lives.half_life_days) else surface_partials.' ~ column ~ ' end'
    ) }} as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from state_days
inner join half_lives
    on state_days.dimension = half_lives.dimension
inner join surface_partials
    on
        state_days.user_id = surface_partials.user_id
        and state_days.dimension = surface_partials.dimension
        and state_days.context = surface_partials.surface
        and surface_partials.event_date <= state_days.state_date
where coalesce(surface_partials.event_date >= state_days.reset_date, true)
group by
    state_days.user_id,
    state_days.dimension,
    state_days.context,
    state_days.state_date,
    surface_partials.value
