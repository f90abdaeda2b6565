with

loaded_rows as (
    select * from {{ ref('stg_telemetry__loaded_rows') }}
),

copied_dates as (
    select * from {{ ref('int_copied_dates') }}
),

declaration_versions as (
    select * from {{ ref('int_declaration_versions') }}
),

loads as (
    select
        event_date,
        batch_id,
        count(*) as record_count
    from loaded_rows
    group by event_date, batch_id
),

second_names as (
    select alias as emitted_name
    from {{ ref('stg_declarations__attribute_aliases') }}
    where kind = 'event' and twin_of is not null
),

-- said in the first seconds of a day, a twin's first may lie on the day before
eves as (
    select distinct
        loaded_rows.event_date,
        {{ date_plus('loaded_rows.event_date', -1) }} as other_date
    from loaded_rows
    inner join second_names
        on loaded_rows.emitted_name = second_names.emitted_name
    where
        {{ seconds_between('cast(loaded_rows.event_date as timestamp)', 'loaded_rows.occurred_at') }}
        <= {{ var('twins_apart_seconds') }}
),

-- a date is touched when a copy of one of its records elsewhere is
other_dates as (
    select
        event_date,
        linked_date as other_date
    from copied_dates
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
    union all
    select distinct
        loads.event_date,
        concat('attribute_aliases:', declaration_versions.version) as part
    from loads
    cross join declaration_versions
    where declaration_versions.declaration = 'attribute_aliases'
)

select
    event_date,
    {{ sorted_digest('part') }} as version
from parts
group by event_date
