{{ config(materialized='view') }}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

deduplicated as (
    select * from {{ ref('int_records_deduplicated') }}
),

twins as (
    select * from {{ ref('int_twins_paired') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

own_records as (
    select records.record_key
    from records
    left join identities
        on records.user_id = identities.pseudonym
    inner join erasures
        on
            coalesce(identities.user_id, records.user_id) = erasures.user_id
            and records.occurred_at <= erasures.erased_until
),

erased_events as (
    select deduplicated.event_id
    from deduplicated
    inner join own_records
        on deduplicated.record_key = own_records.record_key
),

-- what repeats an erased event without saying whose it is would come to life with the event gone
erasable as (
    select record_key from own_records
    union
    select records.record_key
    from records
    inner join erased_events
        on records.event_id = erased_events.event_id
    union
    select twins.record_key
    from twins
    inner join erased_events
        on twins.twin_event_id = erased_events.event_id
)

select
    records.record_key,
    records.record_kind,
    records.event_date,
    records.batch_id,
    records.line_number,
    records.record_number,
    records.event_number
from records
inner join erasable
    on records.record_key = erasable.record_key
where records.event_name not in {{ suppression_events() }}
