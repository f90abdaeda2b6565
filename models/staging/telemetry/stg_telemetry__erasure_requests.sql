with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

renamed as (
    select
        record_key,
        event_id,
        event_name,
        event_date,
        occurred_at,
        user_id as pseudonym
    from records
    where
        record_kind != 'span'
        and event_name in (
            'user.erasure.requested'
        )
)

select * from renamed
