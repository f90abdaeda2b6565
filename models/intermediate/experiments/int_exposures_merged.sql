{{ config(materialized='view') }}
with

exposures as (
    select * from {{ ref('int_exposures_paired') }}
),

holdout_exposures as (
    select * from {{ ref('int_holdout_exposures') }}
)

select
    flag_key,
    variant,
    unit_id,
    trace_id,
    exposed_at,
    record_count,
    event_id,
    user_id,
    session_id,
    organization_id
from exposures
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
