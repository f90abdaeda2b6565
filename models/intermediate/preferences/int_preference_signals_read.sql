{#- What records say about a preference by themselves, whoever did it: whether it may count is decided
    where users and their consents are known, in int_preference_signals. -#}
{{ overwrite_by(
    'int_batch_versions', 'batch_id',
    [
        'preference_signals', 'preference_dimensions', 'preference_values', 'context_bins',
        'attribute_aliases',
    ]
) }}
{%- set positions = [1, 2, 3] %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('batch_id') }}
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
        records.record_key,
        records.batch_id,
        records.event_date,
        records.unit_part,
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
    from records
    inner join signals
        on records.event_name = signals.event_name
    inner join dimensions
        on signals.dimension = dimensions.dimension
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
)

select
    binned.record_key,
    binned.batch_id,
    binned.event_date,
    binned.unit_part,
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
where binned.outcome between 0e0 and 1e0
