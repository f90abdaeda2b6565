with

statements as (
    select * from {{ ref('int_twin_statements') }}
),

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

surviving as (
    select
        statements.unit_part,
        statements.next_part,
        {{ row_checksum(
            "concat_ws('|', statements.record_key, statements.statement, statements.is_second,"
            ~ " statements.names_its_subject)"
        ) }} as checksum
    from statements
    left join repeated
        on statements.record_key = repeated.record_key
    where repeated.record_key is null
),

felt as (
    select
        unit_part,
        checksum as own_checksum,
        cast(null as bigint) as eve_checksum
    from surviving
    union all
    select
        next_part as unit_part,
        cast(null as bigint) as own_checksum,
        checksum as eve_checksum
    from surviving
)

select
    unit_part,
    concat_ws(
        '|', coalesce({{ sum_of_checksums('own_checksum') }}, ''),
        coalesce({{ sum_of_checksums('eve_checksum') }}, '')
    ) as version
from felt
group by unit_part
