{{ overwrite_by('int_preference_cut_versions', 'cut', ['preference_dimensions']) }}
with

declared as (
    select * from {{ ref('int_preference_declared_segments') }}
    where {{ is_touched('cut') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

tastes as (
    select * from {{ ref('int_preference_tastes') }}
    where {{ is_touched('cut') }}
)

select
    declared.cut,
    declared.user_id,
    dimensions.dimension,
    declared.segment_name,
    declared.segment_value
from declared
cross join dimensions
union all
select
    cut,
    user_id,
    dimension,
    'taste' as segment_name,
    taste as segment_value
from tastes
