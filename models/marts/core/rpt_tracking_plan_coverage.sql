with

checked as (
    select * from {{ ref('int_records_checked') }}
),

plan as (
    select * from {{ ref('stg_declarations__tracking_plan') }}
),

declared as (
    select
        event_name,
        attribute,
        max(data_type) as data_type,
        max(purpose) as purpose,
        max(privacy) as privacy
    from plan
    group by event_name, attribute
    union
    select distinct
        event_name,
        cast(null as string) as attribute,
        cast(null as string) as data_type,
        cast(null as string) as purpose,
        cast(null as string) as privacy
    from plan
    where attribute is not null and event_name != '*'
),

declared_once as (
    select
        event_name,
        attribute,
        max(data_type) as data_type,
        max(purpose) as purpose,
        max(privacy) as privacy
    from declared
    group by event_name, attribute
),

seen as (
    select
        event_name,
        attribute,
        min(event_date) as first_seen_date,
        max(event_date) as last_seen_date,
        cast(
            sum(
                case
                    when finding in ('missing_required', 'missing_unit', 'late', 'redacted', 'twin')
                        then 0
                    else record_count
                end
            ) as bigint
        ) as record_count,
        cast(sum(case when finding = 'missing_required' then record_count else 0 end) as bigint)
            as missing_required_count,
        cast(sum(case when finding = 'wrong_type' then record_count else 0 end) as bigint)
            as wrong_type_count,
        cast(sum(case when finding = 'not_a_number' then record_count else 0 end) as bigint)
            as not_a_number_count
    from checked
    group by event_name, attribute
)

select
    coalesce(declared_once.event_name, seen.event_name) as event_name,
    coalesce(declared_once.attribute, seen.attribute) as attribute,
    declared_once.data_type,
    declared_once.privacy,
    declared_once.purpose,
    case
        when seen.event_name is null or seen.record_count = 0 then 'declared_not_seen'
        when declared_once.event_name is null then 'seen_not_declared'
        else 'declared_and_seen'
    end as status,
    seen.first_seen_date,
    seen.last_seen_date,
    coalesce(seen.record_count, 0) as record_count,
    coalesce(seen.missing_required_count, 0) as missing_required_count,
    coalesce(seen.wrong_type_count, 0) as wrong_type_count,
    coalesce(seen.not_a_number_count, 0) as not_a_number_count
from declared_once
full outer join seen
    on
        declared_once.event_name = seen.event_name
        and coalesce(declared_once.attribute, '') = coalesce(seen.attribute, '')
