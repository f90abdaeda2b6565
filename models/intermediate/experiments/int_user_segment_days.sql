{{ overwrite_by(
    'int_unit_part_versions', 'unit_part', ['consent_purposes', 'attribute_aliases', 'segments']
) }}
{#- What segment each user was last seen in on each day: of all exposures only these are asked for. -#}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
    where user_id is not null and {{ is_touched('unit_part') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

segments as (
    select * from {{ ref('stg_declarations__segments') }}
),

seen as (
    select
        exposures.unit_part,
        exposures.event_date,
        cast(batches.loaded_at as date) as loaded_date,
        exposures.user_id,
        exposures.has_personalization_consent,
        segments.segment_name,
        nullif(exposures.attributes[segments.source_attribute], '') as segment_value,
        {{ order_key('exposures.occurred_at', 'exposures.event_id') }} as event_order
    from exposures
    inner join batches
        on exposures.batch_id = batches.batch_id
    cross join segments
)

select
    unit_part,
    event_date,
    loaded_date,
    user_id,
    has_personalization_consent,
    segment_name,
    max(event_order) as event_order,
    max_by(segment_value, event_order) as segment_value
from seen
where segment_value is not null
group by unit_part, event_date, loaded_date, user_id, has_personalization_consent, segment_name
