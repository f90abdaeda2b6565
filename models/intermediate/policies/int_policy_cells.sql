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
        position
    from cells
    group by decision_point, context, position
),

fold_situations as (
    select
        decision_point,
        fold,
        context,
        position,
        sum(decisions) as situation_decisions
    from cells
    group by decision_point, fold, context, position
),

overall as (
    select
        decision_point,
        sum(decisions) as decisions,
        {{ exact_sum('reward_sum') }} as reward_sum
    from cells
    group by decision_point
),

-- what a fold's reward model must not know; none where decisions are not split
fold_totals as (
    select
        cells.decision_point,
        cells.fold,
        sum(cells.decisions) as decisions,
        {{ exact_sum('cells.reward_sum') }} as reward_sum
    from cells
    inner join decision_points
        on cells.decision_point = decision_points.decision_point
    where decision_points.reward_model_folds > 1
    group by cells.decision_point, cells.fold
),

fold_taken as (
    select
        cells.decision_point,
        cells.fold,
        cells.context,
        cells.position,
        cells.action,
        sum(cells.decisions) as decisions,
        sum(cells.reward_sum) as reward_sum
    from cells
    inner join decision_points
        on cells.decision_point = decision_points.decision_point
    where decision_points.reward_model_folds > 1
    group by cells.decision_point, cells.fold, cells.context, cells.position, cells.action
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
),

-- a fold's reward model is what all decisions say, less its own
fitted as (
    select
        policy_cells.policy_name,
        policy_cells.decision_point,
        fold_situations.fold,
        policy_cells.context,
        policy_cells.position,
        policy_cells.action,
        policy_cells.probability,
        cast(coalesce(taken.decisions, 0) as bigint) as decisions,
        cast(fold_situations.situation_decisions as bigint) as situation_decisions,
        decision_points.reward_prior_strength as prior_strength,
        coalesce(taken.decisions, 0) - coalesce(fold_taken.decisions, 0) as fitted_decisions,
        coalesce(taken.reward_sum, 0e0) - coalesce(fold_taken.reward_sum, 0e0) as fitted_reward_sum,
        coalesce(
            (overall.reward_sum - coalesce(fold_totals.reward_sum, 0e0))
            / nullif(overall.decisions - coalesce(fold_totals.decisions, 0), 0),
            overall.reward_sum / overall.decisions
        ) as reward_rate
    from policy_cells
    inner join fold_situations
        on
            policy_cells.decision_point = fold_situations.decision_point
            and policy_cells.context = fold_situations.context
            and policy_cells.position = fold_situations.position
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
    left join fold_totals
        on
            fold_situations.decision_point = fold_totals.decision_point
            and fold_situations.fold = fold_totals.fold
    left join fold_taken
        on
            policy_cells.decision_point = fold_taken.decision_point
            and fold_situations.fold = fold_taken.fold
            and policy_cells.context = fold_taken.context
            and policy_cells.position = fold_taken.position
            and policy_cells.action = fold_taken.action
)

select
    policy_name,
    decision_point,
    fold,
    context,
    position,
    action,
    probability,
    decisions,
    situation_decisions,
    coalesce(
        (fitted_reward_sum + prior_strength * reward_rate)
        / nullif(fitted_decisions + prior_strength, 0e0),
        reward_rate
    ) as expected_reward
from fitted
