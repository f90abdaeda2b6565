{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
with

identifications as (
    select * from {{ ref('stg_telemetry__identifications') }}
    where {{ is_touched('batch_id') }}
)

select
    record_key,
    batch_id,
    anonymous_id as pseudonym,
    pseudonym as user_id,
    coalesce(action, 'link') as action,
    occurred_at,
    {{ order_key('occurred_at', 'event_id') }} as said_at
from identifications
where
    anonymous_id is not null
    and pseudonym is not null
    and anonymous_id != pseudonym
