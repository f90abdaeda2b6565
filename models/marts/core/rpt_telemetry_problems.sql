with

checked as (
    select * from {{ ref('int_records_checked') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

rejections as (
    select * from {{ ref('stg_telemetry__rejections') }}
),

reported as (
    select
        batch_id,
        'reported' as outcome,
        finding as problem,
        cast(sum(record_count) as bigint) as record_count
    from checked
    where
        finding in (
            'wrong_type', 'not_a_number', 'unknown_event', 'missing_unit', 'late', 'missing_required',
            'redacted', 'twin'
        )
    group by batch_id, finding
),

rejected as (
    select
        batch_id,
        'rejected' as outcome,
        reason as problem,
        count(*) as record_count
    from rejections
    group by batch_id, reason
),

problems as (
    select * from reported
    union all
    select * from rejected
)

select
    batches.file_name,
    problems.batch_id,
    problems.outcome,
    problems.problem,
    problems.record_count
from problems
inner join batches
    on problems.batch_id = batches.batch_id
