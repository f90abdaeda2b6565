{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where has_measurement_consent and {{ is_touched('event_date') }}
),

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date') }}
)

select
    events.event_id,
    events.event_name,
    events.record_kind,
    events.event_date,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    events.span_id,
    events.service_name,
    events.service_version,
    events.environment,
    records.attributes
from events
inner join records
    on events.record_key = records.record_key
-- what a day replaces then lies in one place
order by events.event_date
