{#- One row per exposure: the log event and the span event of one evaluation are twins. -#}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
)

select
    flag_key,
    variant,
    unit_id,
    trace_id,
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
