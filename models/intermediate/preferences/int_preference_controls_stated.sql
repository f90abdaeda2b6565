{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
with

controls as (
    select * from {{ ref('stg_telemetry__preference_controls') }}
    where {{ is_touched('batch_id') }}
)

select
    record_key,
    batch_id,
    dimension,
    value,
    context
from controls
