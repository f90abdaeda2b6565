with

records as (
    select * from {{ ref('int_records_read') }}
    where has_record_uid
),

-- copies under one emitter's id may say different times
copies as (
    select distinct
        event_id,
        event_part
    from records
),

across_parts as (
    select event_id
    from copies
    group by event_id
    having count(*) > 1
),

copied as (
    select copies.*
    from copies
    inner join across_parts
        on copies.event_id = across_parts.event_id
)

select distinct
    copied.event_part,
    elsewhere.event_part as linked_part
from copied
inner join copied as elsewhere
    on
        copied.event_id = elsewhere.event_id
        and copied.event_part != elsewhere.event_part
