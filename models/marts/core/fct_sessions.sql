{{ overwrite_by('int_unit_versions', 'unit_id', ['attribute_aliases']) }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        unit_id is not null
        and has_operations_consent
        and {{ is_touched('unit_id') }}
),

-- the emitter's session id is not asked: it may span days; inactivity ends a session
ordered as (
    select
        unit_id,
        user_id,
        event_id,
        event_name,
        occurred_at,
        lag(occurred_at) over (
            partition by unit_id
            order by occurred_at, event_id
        ) as previous_at
    from events
),

started as (
    select
        ordered.*,
        case
            when previous_at is null then 1
            when {{ seconds_between('previous_at', 'occurred_at') }}
                > {{ var('session_timeout_minutes') }} * 60
                then 1
            else 0
        end as starts_session
    from ordered
),

numbered as (
    select
        started.*,
        sum(starts_session) over (
            partition by unit_id
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as session_number
    from started
)

select
    concat(unit_id, ':', session_number) as session_key,
    unit_id,
    max(user_id) as user_id,
    cast(session_number as bigint) as session_number,
    cast(min(occurred_at) as date) as session_date,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at,
    {{ seconds_between('min(occurred_at)', 'max(occurred_at)') }} as duration_seconds,
    count(*) as event_count
from numbered
group by unit_id, session_number
