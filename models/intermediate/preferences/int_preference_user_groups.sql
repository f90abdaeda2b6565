{#- Users' groups in the segment that each dimension uses, with the group's rates. -#}
with

user_segments as (
    select * from {{ ref('int_preference_user_segments') }}
),

segment_priors as (
    select * from {{ ref('int_preference_segment_priors') }}
)

select
    user_segments.user_id,
    segment_priors.cut,
    segment_priors.dimension,
    segment_priors.context,
    segment_priors.value,
    segment_priors.segment_name,
    segment_priors.segment_value,
    segment_priors.segment_mean
from user_segments
inner join segment_priors
    on
        user_segments.cut = segment_priors.cut
        and user_segments.dimension = segment_priors.dimension
        and user_segments.segment_name = segment_priors.segment_name
        and user_segments.segment_value = segment_priors.segment_value
