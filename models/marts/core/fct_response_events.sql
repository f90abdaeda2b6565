{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        event_name in (
            'assistant.response.shown',
            'assistant.response.copied',
            'assistant.response.regenerated',
            'assistant.response.applied',
            'assistant.response.followed_up'
        )
        and has_measurement_consent
        and {{ is_touched('event_date') }}
),

responses as (
    select * from {{ ref('stg_telemetry__responses') }}
    where {{ is_touched('event_date') }}
)

select
    events.event_id as response_event_id,
    case events.event_name
        when 'assistant.response.shown' then 'shown'
        when 'assistant.response.copied' then 'copied'
        when 'assistant.response.applied' then 'applied'
        when 'assistant.response.followed_up' then 'followed_up'
        else 'regenerated'
    end as action,
    events.event_date,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    responses.response_id,
    responses.response_style,
    responses.response_format,
    responses.task_kind
from events
inner join responses
    on events.record_key = responses.record_key
