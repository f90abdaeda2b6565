{#- How many events of analysed units were loaded too late for who read the scorecard in time; see
    int_batch_dates_late. -#}
{{ overwrite_by('int_activity_date_versions', 'event_date', ['experiments']) }}
with

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

events as (
    select * from {{ ref('int_events_resolved') }}
    where has_measurement_consent and {{ is_touched('event_date') }}
),

late_dates as (
    select * from {{ ref('int_batch_dates_late') }}
),

unit_events as (
    {%- for unit, column in unit_columns().items() %}
    select
        '{{ unit }}' as unit,
        {{ column }} as unit_id,
        event_date,
        occurred_at,
        batch_id
    from events
    where {{ column }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    units.experiment_name,
    units.variant,
    unit_events.event_date,
    count(*) as events,
    count(late_dates.batch_id) as late_events
from units
inner join experiments
    on units.experiment_name = experiments.experiment_name
inner join unit_events
    on
        experiments.unit = unit_events.unit
        and units.unit_id = unit_events.unit_id
        and unit_events.occurred_at >= units.analysed_from
        and (experiments.ended_at is null or unit_events.occurred_at < experiments.ended_at)
left join late_dates
    on
        unit_events.batch_id = late_dates.batch_id
        and unit_events.event_date = late_dates.event_date
group by units.experiment_name, units.variant, unit_events.event_date
