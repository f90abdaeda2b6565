-- Fails if a committed file has no ledger row, or a ledger row no committed file.
with

ledger as (
    select * from {{ ref('rpt_telemetry_ledger') }}
),

batches as (
    select * from {{ source('lake', 'batches') }}
    {%- if declared_as_of() %}
    where loaded_at <= {{ declared_as_of() }}
    {%- endif %}
)

select
    batches.batch_id as committed_batch_id,
    ledger.batch_id as ledger_batch_id
from batches
full outer join ledger
    on batches.batch_id = ledger.batch_id
where batches.batch_id is null or ledger.batch_id is null
