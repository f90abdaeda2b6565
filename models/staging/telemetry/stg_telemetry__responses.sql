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
        trace_id,
        span_id,
        {{ attribute(aliases, 'response.id') }} as response_id,
        {{ attribute(aliases, 'response.style') }} as response_style,
        {{ attribute(aliases, 'response.format') }} as response_format,
        {{ attribute(aliases, 'task.kind') }} as task_kind
    from records
    where
        record_kind != 'span'
        and event_name in (
            'assistant.response.shown',
            'assistant.response.copied',
            'assistant.response.regenerated',
            'assistant.response.applied',
            'assistant.response.followed_up'
        )
)

select * from renamed
