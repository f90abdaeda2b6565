{#- A reset of today takes evidence from the user at once, from the population tomorrow. -#}
with

controls as (
    select * from {{ ref('int_preference_controls') }}
    where is_reset
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where cut = 'now'
)

select
    controls.user_id,
    controls.dimension,
    max(controls.occurred_at) as reset_at,
    max(
        case
            when cuts.loaded_before is null or controls.loaded_date < cuts.loaded_before
                then controls.event_date
        end
    ) as population_reset_date
from controls
cross join cuts
group by controls.user_id, controls.dimension
