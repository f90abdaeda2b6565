{#- What segment each user was last seen in; exposures carry the segment attributes. -#}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
    where user_id is not null
),

segments as (
    select * from {{ ref('stg_declarations__segments') }}
),

seen as (
    select
        exposures.user_id,
        segments.segment_name,
        nullif(exposures.attributes[segments.source_attribute], '') as segment_value,
        {{ order_key('exposures.occurred_at', 'exposures.event_id') }} as event_order
    from exposures
    cross join segments
)

select
    user_id,
    segment_name,
    max_by(segment_value, event_order) as segment_value
from seen
where segment_value is not null
group by user_id, segment_name
