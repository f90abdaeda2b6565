with

loaded_rows as (
    select * from {{ ref('stg_telemetry__loaded_rows') }}
)

-- a batch's rows never change; an erasure takes some out
select
    batch_id,
    cast(count(*) as string) as version
from loaded_rows
group by batch_id
