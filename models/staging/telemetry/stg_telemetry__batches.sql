with

source as (
    select * from {{ source('lake', 'batches') }}
),

renamed as (
    select
        batch_id,
        file_name,
        file_bytes,
        line_count,
        records_in,
        well_formed as well_formed_records,
        rejected as rejected_records,
        first_occurred_at,
        last_occurred_at,
        cast(loaded_at as timestamp) as loaded_at
    from source
    {%- if declared_as_of() %}
    where loaded_at <= {{ declared_as_of() }}
    {%- endif %}
)

select * from renamed
