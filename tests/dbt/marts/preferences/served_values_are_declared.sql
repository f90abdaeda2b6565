-- Fails if a value is served that its dimension does not have, or inferred below the threshold.
with

served as (
    select * from {{ ref('dim_user_preferences') }}
),

preference_values as (
    select * from {{ ref('stg_declarations__preference_values') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
)

select
    served.user_id,
    served.dimension,
    served.value,
    served.kind,
    served.score
from served
left join preference_values
    on
        served.dimension = preference_values.dimension
        and served.value = preference_values.value
left join dimensions
    on served.dimension = dimensions.dimension
where
    preference_values.value is null
    or dimensions.dimension is null
    or (served.kind = 'inferred' and served.score < dimensions.serve_threshold)
