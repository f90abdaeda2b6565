-- Fails if the coverage does not count every event that was seen as often as it was; the mirror is
-- everything_declared_is_covered.
with

seen as (
    select
        event_name,
        count(*) as record_count
    from {{ ref('int_records_deduplicated') }}
    group by event_name
),

coverage as (
    select * from {{ ref('rpt_tracking_plan_coverage') }}
    where attribute is null
)

select
    seen.event_name,
    seen.record_count,
    coverage.record_count as covered_count
from seen
left join coverage
    on seen.event_name = coverage.event_name
where coverage.event_name is null or seen.record_count != coverage.record_count
