{{ overwrite_by('int_event_part_versions', 'event_part') }}
{%- set key = [
    order_key('records.occurred_at', "coalesce(records.payload, '')"),
    "'|'", "coalesce(cast(records.observed_at as string), '')", "'|'", 'records.record_key'
] | join(', ') %}
with

records as (
    select * from {{ ref('int_records_read') }}
    -- copies under one emitter's id may lie in parts that are not touched
    where {{ is_touched('event_part', linked_by='int_copied_parts') }}
),

repeated_ids as (
    select event_id
    from records
    group by event_id
    having count(*) > 1
),

-- The copy that survives depends on what the copies say, never on which came first.
survivors as (
    select
        records.event_id,
        min_by(records.record_key, concat({{ key }})) as record_key,
        min_by(records.unit_part, concat({{ key }})) as unit_part
    from records
    inner join repeated_ids
        on records.event_id = repeated_ids.event_id
    group by records.event_id
)

select
    records.record_key,
    records.event_id,
    records.event_date,
    records.event_part,
    records.unit_part,
    survivors.unit_part as survivor_part,
    records.batch_id,
    records.checksum
from records
inner join survivors
    on records.event_id = survivors.event_id
where
    records.record_key != survivors.record_key
    and {{ is_touched('event_part') }}
