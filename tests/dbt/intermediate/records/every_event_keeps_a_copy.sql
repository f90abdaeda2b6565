-- Fails if an event of the lake has no surviving copy; that it has one only is its mirror,
-- one_copy_of_an_event_survives.
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

survivors as (
    select * from {{ ref('int_records_deduplicated') }}
)

select distinct records.event_id
from records
left join survivors
    on records.event_id = survivors.event_id
where survivors.event_id is null
