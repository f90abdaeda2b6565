{#- A suggestion is told by several events, which may lie on two dates: linked dates are read too. -#}
{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        suggestion_id is not null
        and has_measurement_consent
        and {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

suggestions as (
    select * from {{ ref('stg_telemetry__suggestions') }}
    where {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

told as (
    select
        suggestions.*,
        events.user_id,
        events.session_id,
        events.organization_id,
        events.unit_id,
        coalesce(events.unit_id, '') as unit_key,
        {{ order_key('events.occurred_at', 'events.event_id') }} as event_order
    from events
    inner join suggestions
        on events.record_key = suggestions.record_key
),

grouped as (
    select
        unit_key,
        suggestion_id,
        max(user_id) as user_id,
        min(event_date) as event_date,
        min(occurred_at) as first_event_at,
        min(case when event_name = 'assistant.suggestion.shown' then occurred_at end) as shown_at,
        -- a suggestion is decided once: the first decision holds
        min(
            case
                when event_name in ('assistant.suggestion.accepted', 'assistant.suggestion.rejected')
                    then event_order
            end
        ) as decision_order,
        count(case when event_name = 'assistant.suggestion.replayed' then 1 end) as replay_count,
        min_by(session_id, case when session_id is not null then event_order end) as session_id,
        min_by(organization_id, case when organization_id is not null then event_order end)
            as organization_id,
        min_by(
            suggestion_style, case when suggestion_style is not null then event_order end
        ) as suggestion_style,
        min_by(code_language, case when code_language is not null then event_order end)
            as code_language,
        min_by(
            suggestion_length, case when suggestion_length is not null then event_order end
        ) as suggestion_length,
        min_by(
            suggestion_confidence, case when suggestion_confidence is not null then event_order end
        ) as suggestion_confidence,
        min_by(latency_ms, case when latency_ms is not null then event_order end) as latency_ms
    from told
    group by unit_key, suggestion_id
),

decisions as (
    select
        unit_key,
        suggestion_id,
        event_order,
        occurred_at as decided_at,
        event_name = 'assistant.suggestion.accepted' as is_accepted,
        displayed_ms
    from told
    where event_name in ('assistant.suggestion.accepted', 'assistant.suggestion.rejected')
)

select
    grouped.suggestion_id,
    nullif(grouped.unit_key, '') as unit_id,
    grouped.user_id,
    grouped.session_id,
    grouped.organization_id,
    grouped.event_date,
    grouped.first_event_at,
    grouped.shown_at,
    decisions.decided_at,
    grouped.shown_at is not null as is_shown,
    decisions.decided_at is not null as is_decided,
    decisions.is_accepted,
    decisions.displayed_ms,
    grouped.replay_count,
    grouped.suggestion_style,
    grouped.code_language,
    grouped.suggestion_length,
    grouped.suggestion_confidence,
    grouped.latency_ms
from grouped
left join decisions
    on
        grouped.unit_key = decisions.unit_key
        and grouped.suggestion_id = decisions.suggestion_id
        and grouped.decision_order = decisions.event_order
where {{ is_touched('grouped.event_date') }}
