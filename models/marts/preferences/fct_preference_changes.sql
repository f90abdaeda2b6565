with

states as (
    select * from {{ ref('int_preference_states') }}
),

preferences as (
    select * from {{ ref('dim_user_preferences') }}
),

as_of as (
    select cast(as_of as date) as as_of_date from {{ ref('int_as_of') }}
),

surfaces as (
    select distinct
        user_id,
        dimension,
        context
    from states
),

-- decay goes on where nothing happens: what is served now ends the history
history as (
    select
        user_id,
        dimension,
        context,
        state_date,
        0 as step,
        new_count,
        coalesce(reset_date = state_date, false) as is_reset,
        value,
        kind
    from states
    union all
    select
        surfaces.user_id,
        surfaces.dimension,
        surfaces.context,
        as_of.as_of_date as state_date,
        1 as step,
        0 as new_count,
        false as is_reset,
        preferences.value,
        preferences.kind
    from surfaces
    inner join preferences
        on
            surfaces.user_id = preferences.user_id
            and surfaces.dimension = preferences.dimension
            and surfaces.context = preferences.context
    cross join as_of
),

compared as (
    select
        history.*,
        lag(value) over (
            partition by user_id, dimension, context
            order by state_date, step
        ) as from_value,
        lag(kind) over (
            partition by user_id, dimension, context
            order by state_date, step
        ) as from_kind
    from history
),

changed as (
    select
        compared.*,
        case
            when kind = 'stated' then 'stated'
            when is_reset or from_kind = 'stated' then 'reset'
            when new_count > 0 then 'signals'
            else 'time'
        end as cause
    from compared
    where value != from_value
)

select
    user_id,
    dimension,
    context,
    state_date as changed_on,
    from_value,
    from_kind,
    value as to_value,
    kind as to_kind,
    cause,
    new_count as signal_count,
    case
        when cause = 'stated' then concat('You set ', value, '.')
        when cause = 'reset' then 'You reset what was known before.'
        when cause = 'signals' then concat('Signals from you that day: ', new_count, '.')
        else 'Older signals count for less as time goes by.'
    end as reason
from changed
