-- Fails if a target policy would do more than one thing in a logged context and position: its rows
-- for every context or position are added to those for this one.
select
    policy_name,
    decision_point,
    context,
    position,
    sum(probability) as probability
from {{ ref('int_policy_cells') }}
group by policy_name, decision_point, context, position
having sum(probability) > 1e0 + 1e-6
