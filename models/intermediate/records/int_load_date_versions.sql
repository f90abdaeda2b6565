with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

loads as (
    select
        event_date,
        batch_id,
        count(*) as record_count
    from records
    group by event_date, batch_id
),

-- copies under one emitter's id may say different times: a date is touched when a copy elsewhere is
copies as (
    select distinct
        event_id,
        event_date
    from records
    where has_record_uid
),

copies_elsewhere as (
    select
        copies.event_date,
        elsewhere.event_date as other_date
    from copies
    inner join copies as elsewhere
        on
            copies.event_id = elsewhere.event_id
            and copies.event_date != elsewhere.event_date
    group by copies.event_date, elsewhere.event_date
),

parts as (
    select
        event_date,
        concat(batch_id, ':', record_count) as part
    from loads
    union all
    select
        copies_elsewhere.event_date,
        concat(copies_elsewhere.other_date, ':', loads.batch_id, ':', loads.record_count) as part
    from copies_elsewhere
    inner join loads
        on copies_elsewhere.other_date = loads.event_date
)

select
    event_date,
    {{ sorted_digest('part') }} as version
from parts
group by event_date
