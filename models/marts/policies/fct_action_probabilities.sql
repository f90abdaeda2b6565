with

chances as (
    select * from {{ ref('int_action_chances') }}
),

posteriors as (
    select * from {{ ref('int_action_posteriors') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

counted as (
    select
        chances.*,
        decision_points.exploration_floor as declared_floor,
        count(*) over (partition by chances.decision_point, chances.context) as action_count
    from chances
    inner join decision_points
        on chances.decision_point = decision_points.decision_point
),

-- without any floor an action may never be tried again, and the log cannot speak of it
floored as (
    select
        counted.*,
        least(
            greatest(declared_floor, {{ var('exploration_floor_minimum') }}), 1e0 / action_count
        ) as exploration_floor
    from counted
)

select
    floored.decision_point,
    floored.context,
    floored.action,
    posteriors.decisions,
    posteriors.alpha,
    posteriors.beta,
    floored.chance as best_probability,
    floored.exploration_floor,
    floored.exploration_floor
    + (1e0 - floored.action_count * floored.exploration_floor) * floored.chance as probability
from floored
inner join posteriors
    on
        floored.decision_point = posteriors.decision_point
        and floored.context = posteriors.context
        and floored.action = posteriors.action
