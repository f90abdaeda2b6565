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
        -- a decision that names no suggestion is about one of its own
        coalesce(
            {{ attribute(aliases, 'suggestion.id') }},
            case
                when event_name in ('assistant.suggestion.accepted', 'assistant.suggestion.rejected')
                    then event_id
            end
        ) as suggestion_id,
        {{ attribute(aliases, 'suggestion.style') }} as suggestion_style,
        {{ attribute(aliases, 'code.language') }} as code_language,
        {{ attribute(aliases, 'suggestion.length', 'bigint') }} as suggestion_length,
        {{ attribute(aliases, 'suggestion.confidence', 'double') }} as suggestion_confidence,
        {{ attribute(aliases, 'suggestion.latency_ms', 'double') }} as latency_ms,
        {{ attribute(aliases, 'suggestion.displayed_ms', 'double') }} as displayed_ms
    from records
    where
        record_kind != 'span'
        and event_name in (
            'assistant.suggestion.shown',
            'assistant.suggestion.accepted',
            'assistant.suggestion.rejected',
            'assistant.suggestion.replayed',
            'assistant.suggestion.browsed'
        )
)

select * from renamed
