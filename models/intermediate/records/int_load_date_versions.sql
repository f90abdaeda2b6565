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

second_names as (
    select alias as emitted_name
    from {{ ref('stg_declarations__attribute_aliases') }}
    where kind = 'event' and twin_of is not null
),

-- said in the first seconds of a day, a twin's first may lie on the day before
eves as (
    select distinct
        records.event_date,
        {{ date_plus('records.event_date', -1) }} as other_date
    from records
    inner join second_names
        on records.emitted_name = second_names.emitted_name
    where
        {{ seconds_between('cast(records.event_date as timestamp)', 'records.occurred_at') }}
        <= {{ var('twins_apart_seconds') }}
),

other_dates as (
    select * from copies_elsewhere
    union
    select * from eves
),

parts as (
    select
        event_date,
        concat(batch_id, ':', record_count) as part
    from loads
    union all
    select
        other_dates.event_date,
        concat(other_dates.other_date, ':', loads.batch_id, ':', loads.record_count) as part
    from other_dates
    inner join loads
        on other_dates.other_date = loads.event_date
)

select
    event_date,
    {{ sorted_digest('part') }} as version
from parts
group by event_date
