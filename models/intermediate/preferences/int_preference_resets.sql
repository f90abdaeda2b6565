select
    user_id,
    dimension,
    max(occurred_at) as reset_at
from {{ ref('int_preference_controls') }}
where is_reset
group by user_id, dimension
