with

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

bounds as (
    select
        coalesce(cast(min(first_occurred_at) as date), date '2020-01-01') as first_date,
        coalesce(cast(max(last_occurred_at) as date), date '2020-01-01') as last_date
    from batches
)

select {{ date_series('bounds.first_date', 'bounds.last_date') }} as date_day
from bounds
