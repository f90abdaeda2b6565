{%- set aliases = attribute_aliases('attribute') %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

pseudonym_links as (
    select * from {{ ref('stg_telemetry__pseudonym_links') }}
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
        {{ attribute(aliases, 'identity.anonymous_id') }} as anonymous_id,
        {{ attribute(aliases, 'identity.action') }} as action
    from records
    where
        record_kind != 'span'
        and event_name in (
            'user.identified'
        )
)

select
    renamed.record_key,
    renamed.batch_id,
    renamed.event_id,
    renamed.event_name,
    renamed.event_date,
    renamed.occurred_at,
    renamed.pseudonym,
    coalesce(pseudonym_links.stable_pseudonym, renamed.anonymous_id) as anonymous_id,
    renamed.action
from renamed
left join pseudonym_links
    on renamed.anonymous_id = pseudonym_links.pseudonym
