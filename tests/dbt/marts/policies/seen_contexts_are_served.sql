-- Fails if a logged context or action, or the fallback of a decision point with actions, is not served.
with

served as (
    select * from {{ ref('fct_action_probabilities') }}
),

wanted as (
    select
        decision_point,
        context,
        action
    from {{ ref('fct_policy_arms') }}
    union
    select
        decision_point,
        'all' as context,
        action
    from {{ ref('stg_declarations__target_policies') }}
)

select wanted.*
from wanted
left join served
    on
        wanted.decision_point = served.decision_point
        and wanted.context = served.context
        and wanted.action = served.action
where served.decision_point is null
