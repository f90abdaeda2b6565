{#- Users' groups in the segment that each dimension uses. -#}
{{ overwrite_by('int_preference_cut_versions', 'cut', ['preference_dimensions']) }}
with

user_segments as (
    select * from {{ ref('int_preference_user_segments') }}
    where {{ is_touched('cut') }}
),

segment_priors as (
    select * from {{ ref('int_preference_segment_priors') }}
),

used_segments as (
    select distinct
        cut,
        dimension,
        segment_name
    from segment_priors
)

select
    user_segments.cut,
    user_segments.user_id,
    user_segments.dimension,
    user_segments.segment_name,
    user_segments.segment_value
from user_segments
inner join used_segments
    on
        user_segments.cut = used_segments.cut
        and user_segments.dimension = used_segments.dimension
        and user_segments.segment_name = used_segments.segment_name
