{%- set aliases = attribute_aliases('attribute') %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

renamed as (
    select
        record_key,
        batch_id,
        event_id,
        event_name,
        event_date,
        occurred_at,
        user_id as pseudonym,
        {{ attribute(aliases, 'consent.purpose') }} as purpose,
        {{ attribute(aliases, 'consent.granted', 'boolean') }} as is_granted
    from records
    where
        record_kind != 'span'
        and event_name in (
            'user.consent.changed'
        )
)

select * from renamed
