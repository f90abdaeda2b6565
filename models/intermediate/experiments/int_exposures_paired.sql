{#- The log event and the span event of one evaluation are twins; the row lies on the earlier date. -#}
{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
    where {{ is_touched('event_date', linked_by='int_linked_dates') }}
),

paired as (
    select
        flag_key,
        variant,
        unit_id,
        trace_id,
        min(event_date) as event_date,
        min(occurred_at) as exposed_at,
        count(*) as record_count,
        min_by(event_id, {{ order_key('occurred_at', 'event_id') }}) as event_id,
        max(user_id) as user_id,
        min(session_id) as session_id,
        min(organization_id) as organization_id
    from exposures
    group by
        flag_key,
        variant,
        unit_id,
        trace_id,
        case when trace_id is null then event_id end
)

select * from paired
where {{ is_touched('event_date') }}
-- what a day replaces then lies in one place
order by event_date
