{{ overwrite_by('int_unit_part_versions', 'unit_part', ['consent_purposes', 'attribute_aliases']) }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        event_name = 'feature_flag.evaluation'
        and has_measurement_consent
        and {{ is_touched('unit_part') }}
),

exposures as (
    select * from {{ ref('int_exposures_read') }}
    where {{ is_touched('unit_part') }}
)

select
    events.event_id,
    events.event_date,
    events.unit_part,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    events.batch_id,
    events.has_personalization_consent,
    exposures.flag_key,
    exposures.variant,
    exposures.reason,
    exposures.propensity,
    exposures.position,
    exposures.attributes
from events
inner join exposures
    on events.record_key = exposures.record_key
-- what a day replaces then lies in one place
order by events.event_date
