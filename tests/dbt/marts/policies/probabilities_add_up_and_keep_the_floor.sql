-- Fails if the probabilities of a context do not add up to one, or one lies below the floor.
select
    decision_point,
    context,
    sum(probability) as total,
    min(probability - exploration_floor) as least_above_floor
from {{ ref('fct_action_probabilities') }}
group by decision_point, context
having
    abs(sum(probability) - 1e0) > 1e-6
    or min(probability - exploration_floor) < -1e-12
