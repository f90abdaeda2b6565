{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        event_name in (
            'assistant.feedback',
            'gen_ai.evaluation.result',
            'assistant.edit.survival',
            'assistant.edit.feedback',
            'assistant.edit.hunk'
        )
        and has_measurement_consent
        and {{ is_touched('event_date') }}
),

feedback as (
    select * from {{ ref('stg_telemetry__feedback') }}
    where {{ is_touched('event_date') }}
)

select
    events.event_id as feedback_id,
    case events.event_name
        when 'assistant.feedback' then 'rating'
        when 'gen_ai.evaluation.result' then 'evaluation'
        when 'assistant.edit.survival' then 'edit_survival'
        when 'assistant.edit.feedback' then 'edit_feedback'
        else 'edit_hunk'
    end as feedback_kind,
    events.event_date,
    events.occurred_at,
    events.user_id,
    events.session_id,
    events.organization_id,
    events.unit_id,
    events.trace_id,
    feedback.response_id,
    feedback.suggestion_id,
    coalesce(feedback.rating, feedback.evaluation_label, feedback.outcome) as label,
    feedback.evaluation_name,
    case
        when feedback.rating in ('positive', 'up', 'thumbs_up', 'helpful') then 1e0
        when feedback.rating in ('negative', 'down', 'thumbs_down', 'unhelpful') then 0e0
        when events.event_name in ('assistant.edit.hunk', 'assistant.edit.feedback')
            then case feedback.outcome when 'accepted' then 1e0 when 'rejected' then 0e0 end
        else coalesce(feedback.survival_rate, feedback.evaluation_score)
    end as score
from events
inner join feedback
    on events.record_key = feedback.record_key
