with

loaded_rows as (
    select * from {{ ref('stg_telemetry__loaded_rows') }}
),

-- copies under one emitter's id may say different times
copies as (
    select distinct
        event_id,
        event_date
    from loaded_rows
    where has_record_uid
),

across_dates as (
    select event_id
    from copies
    group by event_id
    having count(*) > 1
),

copied as (
    select copies.*
    from copies
    inner join across_dates
        on copies.event_id = across_dates.event_id
)

select distinct
    copied.event_date,
    elsewhere.event_date as linked_date
from copied
inner join copied as elsewhere
    on
        copied.event_id = elsewhere.event_id
        and copied.event_date != elsewhere.event_date
