{#- On which days each unit would have entered an experiment: those with any event of it or, where
    units are analysed from a trigger on, with that event. -#}
{{ overwrite_by('int_activity_date_versions', 'event_date', ['experiments']) }}
with

events as (
    select * from {{ ref('fct_events') }}
    where {{ is_touched('event_date') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

counted_events as (
    select events.*
    from events
    left join excluded
        on events.unit_id = excluded.unit_id
    where excluded.unit_id is null
),

entry_events as (
    select
        '' as entry_event,
        occurred_at,
        event_date,
        unit_id,
        session_id,
        organization_id
    from counted_events
    union all
    select
        event_name as entry_event,
        occurred_at,
        event_date,
        unit_id,
        session_id,
        organization_id
    from counted_events
    where event_name in (select experiments.trigger_event from experiments)
)

{%- for unit, column in unit_columns().items() %}

select
    '{{ unit }}' as unit,
    {{ column }} as unit_id,
    entry_event,
    event_date,
    min(occurred_at) as active_at
from entry_events
where {{ column }} is not null
group by {{ column }}, entry_event, event_date
{{ 'union all' if not loop.last }}
{%- endfor %}
