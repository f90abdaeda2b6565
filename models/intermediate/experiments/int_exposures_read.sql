{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
with

exposures as (
    select * from {{ ref('stg_telemetry__exposures') }}
    where {{ is_touched('batch_id') }}
)

select
    record_key,
    batch_id,
    event_date,
    unit_part,
    flag_key,
    variant,
    reason,
    propensity,
    position,
    attributes
from exposures
where
    flag_key is not null
    and variant is not null
    -- an evaluation that failed served a fallback to whom it may concern: it exposes nobody
    and lower(coalesce(reason, '')) != 'error'
-- what a day replaces then lies in one place
order by event_date
