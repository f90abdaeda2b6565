{#- What off-policy values are asked for: every declared policy, and what the hot mart serves. -#}
with

declared as (
    select * from {{ ref('stg_declarations__target_policies') }}
),

served as (
    select * from {{ ref('fct_action_probabilities') }}
)

select
    policy_name,
    decision_point,
    context,
    position,
    action,
    probability
from declared
union all
select
    'current_table' as policy_name,
    decision_point,
    context,
    cast(null as bigint) as position,
    action,
    probability
from served
