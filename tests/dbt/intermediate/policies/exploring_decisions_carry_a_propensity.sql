-- Fails if an action was drawn at random at a declared decision point, and its probability was not
-- logged: what is left would no longer be a random sample.
select
    event_id,
    decision_point,
    occurred_at,
    action
from {{ ref('int_decisions_resolved') }}
where lower(reason) = 'split' and propensity is null
