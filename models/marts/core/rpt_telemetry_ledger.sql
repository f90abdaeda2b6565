with

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

-- a span event is part of its span and no record of its own
records as (
    select * from {{ ref('stg_telemetry__records') }}
    where record_kind != 'span_event'
),

erased_records as (
    select * from {{ ref('stg_telemetry__erased_records') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

repeated_ids as (
    select event_id
    from records
    group by event_id
    having count(*) > 1
),

copies as (
    select
        records.event_id,
        records.record_key,
        records.batch_id,
        row_number() over (
            partition by records.event_id
            order by
                batches.loaded_at, batches.file_name, batches.batch_id, records.line_number,
                records.record_number
        ) as copy_number
    from records
    inner join repeated_ids
        on records.event_id = repeated_ids.event_id
    inner join batches
        on records.batch_id = batches.batch_id
),

duplicates as (
    select
        batch_id,
        count(*) as duplicate
    from copies
    where copy_number > 1
    group by batch_id
),

suppressed_records as (
    select
        records.batch_id,
        count(*) as suppressed
    from records
    left join identities
        on records.user_id = identities.pseudonym
    inner join erasures
        on
            coalesce(identities.user_id, records.user_id) = erasures.user_id
            and records.occurred_at <= erasures.erased_until
    left join copies
        on
            records.record_key = copies.record_key
            and copies.copy_number > 1
    where copies.record_key is null
    group by records.batch_id
)

select
    batches.file_name,
    batches.batch_id,
    batches.loaded_at,
    batches.line_count,
    batches.records_in,
    batches.well_formed_records
    - coalesce(duplicates.duplicate, 0)
    - coalesce(suppressed_records.suppressed, 0)
    - coalesce(erased_records.erased_records, 0) as accepted,
    coalesce(duplicates.duplicate, 0) as duplicate,
    batches.rejected_records as rejected,
    coalesce(suppressed_records.suppressed, 0)
    + coalesce(erased_records.erased_records, 0) as suppressed
from batches
left join duplicates
    on batches.batch_id = duplicates.batch_id
left join suppressed_records
    on batches.batch_id = suppressed_records.batch_id
left join erased_records
    on batches.batch_id = erased_records.batch_id
