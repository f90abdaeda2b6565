{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        event_name = 'feature_flag.evaluation'
        and has_measurement_consent
        and {{ is_touched('event_date') }}
),

exposures as (
    select * from {{ ref('stg_telemetry__exposures') }}
    where {{ is_touched('event_date') }}
)

select
    events.event_id,
    events.event_date,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    exposures.flag_key,
    exposures.variant,
    exposures.reason,
    exposures.propensity,
    exposures.position,
    exposures.attributes
from events
inner join exposures
    on events.record_key = exposures.record_key
where
    exposures.flag_key is not null
    and exposures.variant is not null
    -- an evaluation that failed served a fallback to whom it may concern: it exposes nobody
    and lower(coalesce(exposures.reason, '')) != 'error'
-- what a day replaces then lies in one place
order by events.event_date
