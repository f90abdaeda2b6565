with

records as (
    select * from {{ ref('int_records_read') }}
),

copied_parts as (
    select * from {{ ref('int_copied_parts') }}
),

own_sums as (
    select
        event_part,
        {{ sum_of_checksums('checksum') }} as checksums
    from records
    group by event_part
),

-- a part is touched when a copy of one of its records elsewhere is
parts as (
    select
        event_part,
        checksums as part
    from own_sums
    union all
    select
        copied_parts.event_part,
        concat(copied_parts.linked_part, ':', own_sums.checksums) as part
    from copied_parts
    inner join own_sums
        on copied_parts.linked_part = own_sums.event_part
)

select
    event_part,
    {{ sorted_digest('part') }} as version
from parts
group by event_part
