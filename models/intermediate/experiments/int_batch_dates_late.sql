{#- An event is late if it was loaded more than late_after_days after the warehouse had reached its
    day: after the first load of a batch whose events are mostly of that day or later. So history
    that is loaded at once is not late, and one stray event in a batch reaches nothing. -#}
with

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
)

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
