-- Fails if an event that may be measured is missing; the mirror is events_have_measurement_consent.
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where has_measurement_consent
),

measured as (
    select event_id from {{ ref('fct_events') }}
)

select events.event_id
from events
left join measured
    on events.event_id = measured.event_id
where measured.event_id is null
