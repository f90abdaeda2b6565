{%- set aliases = attribute_aliases('attribute') %}
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
        user_id as pseudonym,
        {{ attribute(aliases, 'identity.anonymous_id') }} as anonymous_id,
        {{ attribute(aliases, 'identity.action') }} as action
    from records
    where
        record_kind != 'span'
        and event_name in (
            'user.identified'
        )
)

select * from renamed
