{#- What segment each user was last seen in; exposures carry the segment attributes. -#}
with

days as (
    select * from {{ ref('int_user_segment_days') }}
)

select
    user_id,
    segment_name,
    max_by(segment_value, event_order) as segment_value
from days
group by user_id, segment_name
