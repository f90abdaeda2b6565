{%- set z = '1.959963984540054e0' %}
with

policies as (
    select distinct
        policy_name,
        decision_point
    from {{ ref('int_target_policies') }}
),

policy_cells as (
    select * from {{ ref('int_policy_cells') }}
),

moments as (
    select * from {{ ref('int_policy_moments') }}
),

situations as (
    select
        policy_name,
        decision_point,
        fold,
        context,
        position,
        max(situation_decisions) as decisions,
        sum(probability * expected_reward) as expected_reward,
        -- what the log never took, and what the policy does not say
        sum(case when decisions = 0 then probability else 0e0 end)
        + greatest(1e0 - sum(probability), 0e0) as unsupported_probability
    from policy_cells
    group by policy_name, decision_point, fold, context, position
),

supports as (
    select
        policy_name,
        decision_point,
        sum(decisions * unsupported_probability) / sum(decisions) as unsupported_share
    from situations
    group by policy_name, decision_point
),

totals as (
    select
        policy_name,
        decision_point,
        sum(decisions) as decisions,
        sum(reward_sum) / sum(decisions) as logged_value,
        sum(weight_sum) / sum(decisions) as mean_weight,
        sum(square_weight_sum) as square_weight_sum,
        max(maximum_weight) as maximum_weight
    from moments
    group by policy_name, decision_point
),

judged as (
    select
        policies.policy_name,
        policies.decision_point,
        totals.decisions,
        totals.logged_value,
        totals.mean_weight,
        totals.maximum_weight,
        supports.unsupported_share,
        totals.decisions * totals.mean_weight * totals.decisions * totals.mean_weight
        / nullif(totals.square_weight_sum, 0e0) as effective_sample_size,
        sqrt(
            greatest(
                totals.square_weight_sum
                - totals.decisions * totals.mean_weight * totals.mean_weight,
                0e0
            )
            / nullif(totals.decisions - 1, 0)
            / totals.decisions
        ) as mean_weight_std_error
    from policies
    left join totals
        on
            policies.policy_name = totals.policy_name
            and policies.decision_point = totals.decision_point
    left join supports
        on
            policies.policy_name = supports.policy_name
            and policies.decision_point = supports.decision_point
),

verdicts as (
    select
        judged.*,
        nullif(concat_ws(
            '; ',
            case when decisions is null then 'no decision with a known reward was logged' end,
            case
                when coalesce(effective_sample_size, 0e0) < {{ var('effective_sample_size_minimum') }}
                    and decisions is not null
                    then concat(
                        'effective sample size ',
                        {{ decimal_text('coalesce(effective_sample_size, 0e0)', 1) }},
                        ' is below {{ var("effective_sample_size_minimum") }}'
                    )
            end,
            case
                when unsupported_share > {{ var('unsupported_share_limit') }}
                    then concat(
                        'the log never took ', {{ decimal_text('1e2 * unsupported_share', 2) }},
                        '% of what the policy would do'
                    )
            end
        ), '') as refusal,
        nullif(concat_ws(
            '; ',
            case
                -- below that it is how the declared probabilities were rounded
                when unsupported_share > 1e-6 and unsupported_share <= {{ var('unsupported_share_limit') }}
                    then concat(
                        'the log never took ', {{ decimal_text('1e2 * unsupported_share', 2) }},
                        '% of what the policy would do'
                    )
            end,
            case
                when
                    abs(mean_weight - 1e0) > 3e0 * mean_weight_std_error
                    and abs(mean_weight - 1e0) > 1e-6
                    then concat(
                        'the mean weight ', {{ decimal_text('mean_weight', 4) }},
                        ' is off 1 by more than 3 standard errors (',
                        {{ decimal_text('mean_weight_std_error', 4) }},
                        '): are the logged propensities right?'
                    )
            end
        ), '') as warning
    from judged
),

-- which of them rest on the reward model, and which correct it by what was earned
estimators as (
    {%- for estimator, model_factor, correction_factor in [
        ('ips', 0, 0), ('snips', 0, 0), ('dm', 1, 0), ('dr', 1, 1), ('switch_dr', 1, 1)
    ] %}
    select
        '{{ estimator }}' as estimator,
        {{ model_factor }}e0 as model_factor,
        {{ correction_factor }}e0 as correction_factor
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- every estimator is the mean of  baseline + factor x weight x (reward - centre)
parts as (
    select
        moments.policy_name,
        moments.decision_point,
        moments.decisions,
        moments.weight_sum,
        moments.weighted_reward_sum,
        moments.square_weight_sum,
        moments.square_weighted_reward_sum,
        moments.square_weighted_reward_square_sum,
        estimators.estimator,
        estimators.model_factor * situations.expected_reward as baseline,
        estimators.correction_factor * policy_cells.expected_reward as centre,
        case
            when estimators.estimator = 'dm' then 0e0
            when estimators.estimator = 'switch_dr' and moments.is_over_limit then 0e0
            else 1e0
        end as factor
    from moments
    inner join situations
        on
            moments.policy_name = situations.policy_name
            and moments.decision_point = situations.decision_point
            and moments.fold = situations.fold
            and moments.context = situations.context
            and moments.position = situations.position
    inner join policy_cells
        on
            moments.policy_name = policy_cells.policy_name
            and moments.decision_point = policy_cells.decision_point
            and moments.fold = policy_cells.fold
            and moments.context = policy_cells.context
            and moments.position = policy_cells.position
            and moments.action = policy_cells.action
    cross join estimators
),

estimates as (
    select
        policy_name,
        decision_point,
        estimator,
        sum(decisions * baseline + factor * (weighted_reward_sum - centre * weight_sum))
        / nullif(case when estimator = 'snips' then sum(weight_sum) else sum(decisions) end, 0e0)
            as value,
        case when estimator = 'snips' then sum(weight_sum) / sum(decisions) else 1e0 end as scale
    from parts
    group by policy_name, decision_point, estimator
),

-- centred before it is squared: the influence of each decision on the estimate
centred as (
    select
        parts.*,
        estimates.value,
        estimates.scale,
        case when parts.estimator = 'snips' then 0e0 else parts.baseline - estimates.value end
            as offset_value,
        case when parts.estimator = 'snips' then estimates.value else parts.centre end
            as centre_value
    from parts
    inner join estimates
        on
            parts.policy_name = estimates.policy_name
            and parts.decision_point = estimates.decision_point
            and parts.estimator = estimates.estimator
),

errors as (
    select
        policy_name,
        decision_point,
        estimator,
        sum(
            decisions * offset_value * offset_value
            + factor * 2e0 * offset_value * (weighted_reward_sum - centre_value * weight_sum)
            + factor * (
                square_weighted_reward_square_sum
                - 2e0 * centre_value * square_weighted_reward_sum
                + centre_value * centre_value * square_weight_sum
            )
        ) as influence_square_sum,
        sum(decisions) as decisions
    from centred
    group by policy_name, decision_point, estimator
),

valued as (
    select
        estimates.policy_name,
        estimates.decision_point,
        estimates.estimator,
        estimates.value,
        sqrt(
            greatest(errors.influence_square_sum, 0e0)
            / nullif(errors.decisions - 1, 0)
            / errors.decisions
        ) / nullif(estimates.scale, 0e0) as std_error
    from estimates
    inner join errors
        on
            estimates.policy_name = errors.policy_name
            and estimates.decision_point = errors.decision_point
            and estimates.estimator = errors.estimator
)

select
    verdicts.decision_point,
    verdicts.policy_name,
    estimators.estimator,
    case when verdicts.refusal is null then valued.value end as value,
    case when verdicts.refusal is null then valued.std_error end as std_error,
    case when verdicts.refusal is null then valued.value - {{ z }} * valued.std_error end as ci_lower,
    case when verdicts.refusal is null then valued.value + {{ z }} * valued.std_error end as ci_upper,
    verdicts.logged_value,
    verdicts.effective_sample_size,
    verdicts.mean_weight,
    verdicts.mean_weight_std_error,
    verdicts.maximum_weight,
    verdicts.unsupported_share,
    cast(coalesce(verdicts.decisions, 0) as bigint) as rows,
    case
        when verdicts.refusal is not null then 'refused'
        when verdicts.warning is not null then 'warn'
        else 'ok'
    end as support,
    nullif(concat_ws('; ', verdicts.refusal, verdicts.warning), '') as reason
from verdicts
cross join estimators
left join valued
    on
        verdicts.policy_name = valued.policy_name
        and verdicts.decision_point = valued.decision_point
        and estimators.estimator = valued.estimator
