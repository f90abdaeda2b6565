-- Warns of users who asked to be forgotten longer ago than is allowed, and whose records still lie in the
-- lake: `attune erase` takes them out.
{{ config(severity='warn') }}
select
    user_id,
    requested_at,
    days_open,
    records_left
from {{ ref('rpt_erasure_requests') }}
where days_open > {{ var('erasure_days') }}
