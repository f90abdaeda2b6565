-- Fails if the probabilities that are served in a context do not add up to 1, or one is below the floor.
select
    decision_point,
    context,
    sum(probability) as probability,
    min(probability - exploration_floor) as above_floor
from {{ ref('fct_action_probabilities') }}
group by decision_point, context
having
    abs(sum(probability) - 1e0) > 1e-9
    or min(probability) <= 0e0
    or min(probability - exploration_floor) < -1e-12
