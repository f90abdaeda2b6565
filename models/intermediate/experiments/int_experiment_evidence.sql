{#- What each declared metric says for the decision: the estimate that decides, and the three
    questions asked of it. Does it win (by its p-value in the family of int_experiment_adjusted), is it
    not worse than its margin (alpha each: all guardrails must pass), does it get worse (one-sided,
    alpha / metrics, Bonferroni): Schultzberg, Ankargren and Frånberg 2024. Where bounds are
    declared, their looks answer. -#}
with

results as (
    select * from {{ ref('rpt_experiment_results') }}
    where segment_name = 'all' and is_deciding and metric_role != 'exploratory'
),

looks as (
    select * from {{ ref('rpt_experiment_looks') }}
    where is_latest
),

directed as (
    select
        results.*,
        looks.is_won,
        looks.is_deteriorated,
        looks.is_within_margin as is_within_margin_at_look,
        case when results.better = 'down' then -1e0 else 1e0 end as direction,
        case results.inference
            when 'fixed' then results.p_value
            when 'group_sequential' then looks.p_value
            else results.sequential_p_value
        end as deciding_p_value
    from results
    left join looks
        on
            results.experiment_name = looks.experiment_name
            and results.metric_name = looks.metric_name
            and results.treatment_variant = looks.treatment_variant
            and results.adjustment = looks.adjustment
),

tested as (
    select
        directed.*,
        -- a win is an improvement that was shown at this look or before, and harm that was not
        case
            when inference = 'fixed' then direction * absolute_effect > 0e0
            else
                sequential_improvement_p_value < sequential_harm_p_value
                and sequential_harm_p_value > alpha
        end as is_improvement,
        case
            when inference = 'fixed' and direction * absolute_effect < 0e0 then p_value / 2e0
            when inference = 'fixed' then 1e0 - p_value / 2e0
            when inference = 'group_sequential' then null
            else sequential_harm_p_value
        end as deterioration_p_value,
        case
            when metric_role != 'guardrail' or minimum_effect is null then null
            when inference = 'fixed' then non_inferiority_p_value <= alpha
            when inference = 'group_sequential' then is_within_margin_at_look
            when better = 'down' then deciding_ci_upper < minimum_effect
            else deciding_ci_lower > -minimum_effect
        end as is_within_margin
    from directed
),

-- the family is what is declared: a metric without data counts as one that did not win
counted as (
    select
        tested.*,
        count(*) over (partition by experiment_name, metric_role) as role_size,
        count(*) over (partition by experiment_name, treatment_variant) as treatment_metrics,
        coalesce(p_value_adjusted, 1e0) as success_p_value
    from tested
)

select
    experiment_name,
    metric_name,
    metric_role,
    treatment_variant,
    inference,
    alpha,
    better,
    minimum_effect,
    adjustment,
    control_units,
    treatment_units,
    immature_units,
    relative_effect,
    deciding_interval,
    deciding_ci_lower,
    deciding_ci_upper,
    deciding_p_value,
    case when metric_role = 'success' then role_size end as success_family_size,
    case
        when metric_role = 'success' and inference != 'group_sequential' then success_p_value
    end as success_p_value,
    coalesce(
        case
            when inference = 'group_sequential' then is_won
            else metric_role = 'success' and is_improvement and success_p_value <= alpha
        end,
        false
    ) as is_win,
    case when metric_role = 'guardrail' then non_inferiority_p_value end as non_inferiority_p_value,
    case
        when metric_role = 'guardrail' and minimum_effect is not null
            then coalesce(is_within_margin, false)
    end as is_within_margin,
    deterioration_p_value,
    alpha / treatment_metrics as deterioration_alpha,
    coalesce(
        case
            when inference = 'group_sequential' then is_deteriorated
            else deterioration_p_value <= alpha / treatment_metrics
        end,
        false
    ) as is_deteriorated,
    -- a test that was never made found nothing, which is not the same as nothing being there
    case
        when status != 'ok' then status
        when deciding_p_value is not null then null
        when inference = 'group_sequential' then 'no_look_yet'
        else deciding_ci_missing_reason
    end as not_judged_reason,
    status
from counted
