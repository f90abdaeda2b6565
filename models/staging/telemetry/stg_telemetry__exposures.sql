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
        unit_part,
        occurred_at,
        user_id as pseudonym,
        session_id,
        organization_id,
        trace_id,
        span_id,
        attributes,
        {{ attribute(aliases, 'feature_flag.key') }} as flag_key,
        {{ attribute(aliases, 'feature_flag.result.variant') }} as variant,
        {{ attribute(aliases, 'feature_flag.result.reason') }} as reason,
        {{ attribute(aliases, 'feature_flag.context.id') }} as context_id,
        {{ attribute(aliases, 'decision.propensity', 'double') }} as propensity,
        {{ attribute(aliases, 'decision.position', 'bigint') }} as position
    from records
    where
        record_kind != 'span'
        and event_name in (
            'feature_flag.evaluation'
        )
)

select * from renamed
