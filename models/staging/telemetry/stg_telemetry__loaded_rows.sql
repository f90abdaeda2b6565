{#- Where each row of the lake comes from, without what it says: cheap to read over all of history. -#}
with

log_records as (
    select * from {{ source('lake', 'log_records') }}
),

spans as (
    select * from {{ source('lake', 'spans') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

renamed as (
    select
        event_id,
        event_name as emitted_name,
        batch_id,
        has_record_uid,
        cast(occurred_at as timestamp) as occurred_at,
        cast(event_date as date) as event_date
    from log_records
    union all
    select
        event_id,
        cast(null as string) as emitted_name,
        batch_id,
        false as has_record_uid,
        cast(occurred_at as timestamp) as occurred_at,
        cast(event_date as date) as event_date
    from spans
)

select renamed.*
from renamed
-- a batch exists from its commit mark on: half a load is never seen
where renamed.batch_id in (select batches.batch_id from batches)
