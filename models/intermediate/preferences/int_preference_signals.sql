{#- What users did that says something about a preference, with consent at that time. -#}
{{ overwrite_by(
    'int_event_date_versions', 'event_date',
    [
        'preference_signals', 'preference_dimensions', 'preference_values', 'context_bins',
        'consent_purposes', 'attribute_aliases',
    ]
) }}
{%- set positions = [1, 2, 3] %}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        user_id is not null
        and has_personalization_consent
        and {{ is_touched('event_date') }}
),

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

signals as (
    select * from {{ ref('stg_declarations__preference_signals') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

preference_values as (
    select * from {{ ref('stg_declarations__preference_values') }}
),

context_bins as (
    select * from {{ ref('stg_declarations__context_bins') }}
),

matched as (
    select
        events.event_id,
        events.event_date,
        events.occurred_at,
        events.user_id,
        signals.signal_name,
        signals.dimension,
        signals.weight,
        records.attributes,
        nullif(records.attributes[signals.value_attribute], '') as value,
        -- the outcome is a number, or the name of the attribute that holds one
        coalesce(
            {{ safe_cast_text('signals.outcome', 'double') }},
            {{ safe_cast_text('records.attributes[signals.outcome]', 'double') }}
        ) as outcome
        {%- for position in positions %},
            nullif(trim(split_part(dimensions.context_attributes, ';', {{ position }})), '')
                as attribute_{{ position }}
        {%- endfor %}
    from events
    inner join signals
        on events.event_name = signals.event_name
    inner join dimensions
        on signals.dimension = dimensions.dimension
    inner join records
        on events.record_key = records.record_key
),

binned as (
    select
        matched.*
        {%- for position in positions %},
            case
                when matched.attribute_{{ position }} is not null
                    then concat(
                        matched.attribute_{{ position }},
                        '=',
                        coalesce(
                            bins_{{ position }}.bin,
                            nullif(matched.attributes[matched.attribute_{{ position }}], ''),
                            'missing'
                        )
                    )
            end as context_{{ position }}
        {%- endfor %}
    from matched
    {%- for position in positions %}
        {%- set number = safe_cast_text(
            'matched.attributes[matched.attribute_' ~ position ~ ']', 'double'
        ) %}
        left join context_bins as bins_{{ position }}
            on
                matched.attribute_{{ position }} = bins_{{ position }}.attribute
                and {{ number }} >= coalesce(bins_{{ position }}.lower, -1e300)
                and {{ number }} < coalesce(bins_{{ position }}.upper, 1e300)
    {%- endfor %}
),

-- known since its first copy: which copy survives must not make a signal younger
first_loads as (
    select
        records.event_id,
        cast(min(batches.loaded_at) as date) as loaded_date
    from records
    inner join batches
        on records.batch_id = batches.batch_id
    where records.event_id in (select matched.event_id from matched)
    group by records.event_id
)

select
    binned.event_id,
    binned.event_date,
    first_loads.loaded_date,
    binned.occurred_at,
    binned.user_id,
    binned.signal_name,
    binned.dimension,
    binned.value,
    binned.outcome,
    binned.weight,
    coalesce(
        nullif(concat_ws(',', binned.context_1, binned.context_2, binned.context_3), ''), 'all'
    ) as context
from binned
inner join preference_values
    on
        binned.dimension = preference_values.dimension
        and binned.value = preference_values.value
inner join first_loads
    on binned.event_id = first_loads.event_id
where binned.outcome between 0e0 and 1e0
