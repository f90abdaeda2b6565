-- Fails if a logged action had no chance to be chosen, or less than its decision point declares.
with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
)

select
    decisions.event_id,
    decisions.decision_point,
    decisions.action,
    decisions.propensity,
    decision_points.exploration_floor
from decisions
inner join decision_points
    on decisions.decision_point = decision_points.decision_point
where
    decisions.propensity <= 0e0
    -- a floor such as 1/80 is declared with fewer digits than are logged
    or decisions.propensity < decision_points.exploration_floor - 1e-6
