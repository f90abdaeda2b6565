{#- How many events of analysed units were loaded too late for who read the scorecard in time. An
    event is late if it was loaded more than late_after_days after the warehouse had reached its
    day: after the first load of a batch whose events are mostly of that day or later. So history
    that is loaded at once is not late, and one stray event in a batch reaches nothing. -#}
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
    where has_measurement_consent
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

batch_dates as (
    select
        batch_id,
        event_date,
        count(*) as events
    from events
    group by batch_id, event_date
),

cumulated as (
    select
        batch_dates.*,
        sum(events) over (partition by batch_id order by event_date) as events_until,
        sum(events) over (partition by batch_id) as batch_events
    from batch_dates
),

batch_medians as (
    select
        cumulated.batch_id,
        min(cumulated.event_date) as median_date,
        min(batches.loaded_at) as loaded_at
    from cumulated
    inner join batches
        on cumulated.batch_id = batches.batch_id
    where 2 * cumulated.events_until >= cumulated.batch_events
    group by cumulated.batch_id
),

first_loads as (
    select
        median_date,
        min(loaded_at) as loaded_at
    from batch_medians
    group by median_date
),

dates as (
    select distinct event_date
    from batch_dates
),

reached as (
    select
        dates.event_date,
        min(first_loads.loaded_at) as reached_at
    from dates
    inner join first_loads
        on dates.event_date <= first_loads.median_date
    group by dates.event_date
),

late_dates as (
    select
        batch_dates.batch_id,
        batch_dates.event_date
    from batch_dates
    inner join batches
        on batch_dates.batch_id = batches.batch_id
    inner join reached
        on batch_dates.event_date = reached.event_date
    where
        batches.loaded_at
        > {{ add_time('reached.reached_at', var('late_after_days') ~ ' * 24', 'hour') }}
),

unit_events as (
    {%- for unit, column in {
        'user': 'unit_id', 'session': 'session_id', 'organization': 'organization_id',
    }.items() %}
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
