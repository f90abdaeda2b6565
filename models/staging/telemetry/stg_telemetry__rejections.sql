with

source as (
    select * from {{ source('lake', 'rejections') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

renamed as (
    select
        batch_id,
        file_name,
        line_number,
        record_number,
        reason,
        detail,
        cast(loaded_at as timestamp) as loaded_at
    from source
    where batch_id in (select batches.batch_id from batches)
)

select * from renamed
