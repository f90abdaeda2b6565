with

source as (
    select * from {{ source('lake', 'erased_records') }}
),

-- a file's records may be erased at several times
renamed as (
    select
        batch_id,
        cast(sum(records) as bigint) as erased_records,
        max(cast(erased_at as timestamp)) as last_erased_at
    from source
    group by batch_id
)

select * from renamed
