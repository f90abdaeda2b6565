{#- What each target policy would do where the log chose, and what the reward model expects of it. -#}
with

cells as (
    select * from {{ ref('int_decision_cells') }}
),

policies as (
    select * from {{ ref('int_target_policies') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

situations as (
    select
        decision_point,
        context,
        position,
        sum(decisions) as situation_decisions
    from cells
    group by decision_point, context, position
),

overall as (
    select
        decision_point,
        {{ exact_sum('reward_sum') }} / sum(decisions) as reward_rate
    from cells
    group by decision_point
),

taken as (
    select
        decision_point,
        context,
        position,
        action,
        sum(decisions) as decisions,
        sum(reward_sum) as reward_sum
    from cells
    group by decision_point, context, position, action
),

-- a policy that names no context or no position does the same in each
intended as (
    select
        policies.policy_name,
        situations.decision_point,
        situations.context,
        situations.position,
        policies.action,
        sum(policies.probability) as probability
    from policies
    inner join situations
        on
            policies.decision_point = situations.decision_point
            and (policies.context is null or policies.context = situations.context)
            and (policies.position is null or policies.position = situations.position)
    group by
        policies.policy_name,
        situations.decision_point,
        situations.context,
        situations.position,
        policies.action
),

policy_names as (
    select distinct
        policy_name,
        decision_point
    from policies
),

-- also what the log did and the policy would not, with probability 0
considered as (
    select
        policy_name,
        decision_point,
        context,
        position,
        action,
        probability
    from intended
    union all
    select
        policy_names.policy_name,
        taken.decision_point,
        taken.context,
        taken.position,
        taken.action,
        0e0 as probability
    from policy_names
    inner join taken
        on policy_names.decision_point = taken.decision_point
),

policy_cells as (
    select
        policy_name,
        decision_point,
        context,
        position,
        action,
        sum(probability) as probability
    from considered
    group by policy_name, decision_point, context, position, action
)

select
    policy_cells.policy_name,
    policy_cells.decision_point,
    policy_cells.context,
    policy_cells.position,
    policy_cells.action,
    policy_cells.probability,
    cast(coalesce(taken.decisions, 0) as bigint) as decisions,
    cast(situations.situation_decisions as bigint) as situation_decisions,
    coalesce(
        (
            coalesce(taken.reward_sum, 0e0)
            + decision_points.reward_prior_strength * overall.reward_rate
        )
        / nullif(coalesce(taken.decisions, 0) + decision_points.reward_prior_strength, 0e0),
        overall.reward_rate
    ) as expected_reward
from policy_cells
inner join situations
    on
        policy_cells.decision_point = situations.decision_point
        and policy_cells.context = situations.context
        and policy_cells.position = situations.position
inner join overall
    on policy_cells.decision_point = overall.decision_point
inner join decision_points
    on policy_cells.decision_point = decision_points.decision_point
left join taken
    on
        policy_cells.decision_point = taken.decision_point
        and policy_cells.context = taken.context
        and policy_cells.position = taken.position
        and policy_cells.action = taken.action
