{#- Which load each row of the lake comes from, and nothing else: cheap to read over all of history. -#}
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
    select batch_id from log_records
    union all
    select batch_id from spans
)

select renamed.batch_id
from renamed
-- a batch exists from its commit mark on: half a load is never seen
where renamed.batch_id in (select batches.batch_id from batches)
