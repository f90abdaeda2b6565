{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
with

consents as (
    select * from {{ ref('stg_telemetry__consents') }}
    where {{ is_touched('batch_id') }}
)

select
    record_key,
    batch_id,
    pseudonym,
    purpose,
    occurred_at,
    is_granted
from consents
where pseudonym is not null and purpose is not null and is_granted is not null
