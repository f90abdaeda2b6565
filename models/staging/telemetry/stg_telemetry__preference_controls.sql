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
        {{ attribute(aliases, 'preference.dimension') }} as dimension,
        {{ attribute(aliases, 'preference.value') }} as value,
        {{ attribute(aliases, 'preference.context') }} as context
    from records
    where
        record_kind != 'span'
        and event_name in (
            'user.preference.set',
            'user.preference.cleared'
        )
)

select * from renamed
