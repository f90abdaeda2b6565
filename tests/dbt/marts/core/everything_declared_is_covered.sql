-- Fails if an event or attribute of the tracking plan is missing from the coverage; the mirror is
-- everything_seen_is_covered.
with

plan as (
    select * from {{ ref('stg_declarations__tracking_plan') }}
),

coverage as (
    select * from {{ ref('rpt_tracking_plan_coverage') }}
    where status != 'seen_not_declared'
)

select
    plan.event_name,
    plan.attribute
from plan
left join coverage
    on
        plan.event_name = coverage.event_name
        and coalesce(plan.attribute, '') = coalesce(coverage.attribute, '')
where coverage.event_name is null
