{#- The last setting of each user and dimension that no reset followed. -#}
with

controls as (
    select * from {{ ref('int_preference_controls') }}
    where not is_reset
),

preference_values as (
    select * from {{ ref('stg_declarations__preference_values') }}
),

resets as (
    select * from {{ ref('int_preference_resets') }}
)

select
    controls.user_id,
    controls.dimension,
    controls.context,
    max_by(
        controls.value, {{ order_key('controls.occurred_at', 'controls.event_id') }}
    ) as value,
    max(controls.occurred_at) as stated_at
from controls
inner join preference_values
    on
        controls.dimension = preference_values.dimension
        and controls.value = preference_values.value
left join resets
    on
        controls.user_id = resets.user_id
        and controls.dimension = resets.dimension
where resets.reset_at is null or controls.occurred_at > resets.reset_at
group by controls.user_id, controls.dimension, controls.context
