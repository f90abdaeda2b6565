-- Fails if the logged probabilities of a context and position add up to more than 1, where each
-- action was always logged with the same; actions that were never chosen may be missing from the sum.
with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

actions as (
    select
        decision_point,
        context,
        position,
        action,
        min(propensity) as least,
        max(propensity) as most
    from decisions
    group by decision_point, context, position, action
)

select
    decision_point,
    context,
    position,
    sum(most) as probability
from actions
group by decision_point, context, position
having sum(most) > 1e0 + 1e-6 and max(most - least) <= 1e-9
