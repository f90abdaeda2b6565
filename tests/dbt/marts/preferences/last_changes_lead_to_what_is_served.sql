-- Fails if the last change of a value led to another one than the user is served. After a reset a
-- context may have no row of its own: what holds for all contexts is served there.
with

last_changes as (
    select
        user_id,
        dimension,
        context,
        max_by(to_value, changed_on) as to_value
    from {{ ref('fct_preference_changes') }}
    group by user_id, dimension, context
)

select
    last_changes.user_id,
    last_changes.dimension,
    last_changes.context,
    last_changes.to_value,
    served.value
from last_changes
inner join {{ ref('dim_user_preferences') }} as served
    on
        last_changes.user_id = served.user_id
        and last_changes.dimension = served.dimension
        and last_changes.context = served.context
where served.value != last_changes.to_value
