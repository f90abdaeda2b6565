{#- One row per exposure: the log event and the span event of one evaluation are twins. -#}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
),

holdout_exposures as (
    select * from {{ ref('int_holdout_exposures') }}
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
union all
select
    flag_key,
    variant,
    user_id as unit_id,
    cast(null as string) as trace_id,
    exposed_at,
    1 as record_count,
    event_id,
    user_id,
    cast(null as string) as session_id,
    cast(null as string) as organization_id
from holdout_exposures
