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
        {{ attribute(aliases, 'rating') }} as rating,
        {{ attribute(aliases, 'gen_ai.evaluation.name') }} as evaluation_name,
        {{ attribute(aliases, 'gen_ai.evaluation.score.value', 'double') }} as evaluation_score,
        {{ attribute(aliases, 'gen_ai.evaluation.score.label') }} as evaluation_label,
        {{ attribute(aliases, 'survival_rate', 'double') }} as survival_rate,
        {{ attribute(aliases, 'outcome') }} as outcome,
        {{ attribute(aliases, 'response.id') }} as response_id,
        {{ attribute(aliases, 'suggestion.id') }} as suggestion_id
    from records
    where
        record_kind != 'span'
        and event_name in (
            'assistant.feedback',
            'gen_ai.evaluation.result',
            'assistant.edit.survival',
            'assistant.edit.feedback',
            'assistant.edit.hunk'
        )
)

select * from renamed
