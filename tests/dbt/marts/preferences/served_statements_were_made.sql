-- Fails if a value is served as stated that the user did not state; the mirror is
-- stated_preferences_are_served.
with

served as (
    select * from {{ ref('dim_user_preferences') }}
    where kind = 'stated'
),

stated as (
    select * from {{ ref('int_preferences_stated') }}
)

select
    served.user_id,
    served.dimension,
    served.context,
    served.value
from served
left join stated
    on
        served.user_id = stated.user_id
        and served.dimension = stated.dimension
        -- what is set for all contexts holds in each
        and stated.context in (served.context, 'all')
        and served.value = stated.value
where stated.user_id is null
