{#- Sums of checksums of all that a part's events are made from: cheap to make from all rows, and equal
    whatever way the rows came about. -#}
with

records as (
    select * from {{ ref('int_records_read') }}
),

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

twins as (
    select * from {{ ref('int_twins_paired') }}
),

record_sums as (
    select
        event_date,
        unit_part,
        {{ sum_of_checksums('checksum') }} as checksums
    from records
    group by event_date, unit_part
),

-- which copy survives is felt where each of them lies
repeated_parts as (
    select
        unit_part,
        checksum
    from repeated
    union all
    select
        survivor_part as unit_part,
        checksum
    from repeated
),

repeated_sums as (
    select
        unit_part,
        {{ sum_of_checksums('checksum') }} as checksums
    from repeated_parts
    group by unit_part
),

twin_sums as (
    select
        unit_part,
        {{ sum_of_checksums(row_checksum("concat_ws('|', record_key, twin_event_id)")) }}
            as checksums
    from twins
    group by unit_part
)

select
    record_sums.event_date,
    record_sums.unit_part,
    concat_ws(
        '|', record_sums.checksums, coalesce(repeated_sums.checksums, ''),
        coalesce(twin_sums.checksums, '')
    ) as version
from record_sums
left join repeated_sums
    on record_sums.unit_part = repeated_sums.unit_part
left join twin_sums
    on record_sums.unit_part = twin_sums.unit_part
