{#- Days on which what a user is served may have changed, and the day before the first that is told. -#}
{%- set days = var('preference_changes_days') %}
with

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
    where not is_reset
),

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
),

controls as (
    select * from {{ ref('int_preference_controls') }}
),

cuts as (
    select
        last_date,
        {{ date_plus('last_date', -days) }} as first_date
    from {{ ref('int_preference_cuts') }}
    where cut = 'now' and last_date is not null
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
),

surfaces as (
    select distinct
        surface_partials.user_id,
        surface_partials.dimension,
        surface_partials.surface as context
    from surface_partials
    inner join personalizable
        on surface_partials.user_id = personalizable.user_id
),

happened as (
    select distinct
        user_id,
        dimension,
        surface as context,
        event_date
    from surface_partials
    union
    -- a control is felt in every context of its dimension
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        controls.event_date
    from surfaces
    inner join controls
        on
            surfaces.user_id = controls.user_id
            and surfaces.dimension = controls.dimension
),

state_days as (
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        cuts.first_date as state_date
    from surfaces
    cross join cuts
    union
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        happened.event_date as state_date
    from surfaces
    inner join happened
        on
            surfaces.user_id = happened.user_id
            and surfaces.dimension = happened.dimension
            and surfaces.context = happened.context
    inner join cuts
        on happened.event_date > cuts.first_date
)

select
    state_days.user_id,
    state_days.dimension,
    state_days.context,
    state_days.state_date,
    max(
        case when controls.event_date <= state_days.state_date then controls.occurred_at end
    ) as reset_at,
    max(
        case when controls.event_date <= state_days.state_date then controls.event_date end
    ) as reset_date
from state_days
left join controls
    on
        state_days.user_id = controls.user_id
        and state_days.dimension = controls.dimension
        and controls.is_reset
group by
    state_days.user_id,
    state_days.dimension,
    state_days.context,
    state_days.state_date
