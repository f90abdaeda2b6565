{#- What each comparison is tested for: the share of units in its arms, the level and the power that
    the decision asks of it (Schultzberg, Ankargren and Frånberg 2024), and the normal quantiles of
    both. Where looks are sequential, the always-valid boundary at the tuning sample stands for the
    quantile (Waudby-Smith et al. 2024), where they are planned the bound of the last one, which is
    held by fewer units than all looks together need at most (Jennison and Turnbull 2000). -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

bounds as (
    select * from {{ ref('stg_declarations__sequential_bounds') }}
),

final_bounds as (
    select
        bounds,
        alpha,
        max_by(critical_value, look) as critical_value
    from bounds
    group by bounds, alpha
),

arms as (
    select
        variants.experiment_name,
        variants.variant,
        variants.allocation / nullif(sum(variants.allocation) over experiment, 0e0) as share,
        max(case when variants.variant = experiments.control_variant then variants.allocation end)
            over experiment / nullif(sum(variants.allocation) over experiment, 0e0) as control_share,
        count(*) over experiment - 1 as treatments,
        variants.variant = experiments.control_variant as is_control
    from variants
    inner join experiments
        on variants.experiment_name = experiments.experiment_name
    window experiment as (partition by variants.experiment_name)
),

roles as (
    select
        experiment_name,
        count(case when role = 'success' then 1 end) as success_metrics,
        count(case when role = 'guardrail' and minimum_effect is not null then 1 end)
            as margin_guardrails,
        count(case when role != 'exploratory' then 1 end) as deciding_metrics
    from experiment_metrics
    group by experiment_name
),

tests as (
    select
        experiments.experiment_name,
        experiment_metrics.metric_name,
        experiment_metrics.role as metric_role,
        arms.variant as treatment_variant,
        metrics.kind,
        metrics.better,
        metrics.delay_days,
        metrics.window_days,
        experiments.inference,
        experiments.bounds,
        experiments.alpha,
        experiments.planned_units,
        experiments.holdout_share,
        experiment_metrics.minimum_effect,
        arms.control_share,
        arms.share as treatment_share,
        case when experiment_metrics.role in ('guardrail', 'deterioration') then 1 else 2 end
            as test_sides,
        case experiment_metrics.role
            when 'success' then experiments.alpha / (roles.success_metrics * arms.treatments)
            when 'deterioration' then experiments.alpha / roles.deciding_metrics
            else experiments.alpha
        end as test_alpha,
        -- the success metric and every guardrail must succeed together
        case
            when experiment_metrics.role in ('success', 'guardrail')
                then (1e0 - experiments.power) / (roles.margin_guardrails + 1e0)
            else 1e0 - experiments.power
        end as test_beta
    from experiments
    inner join experiment_metrics
        on experiments.experiment_name = experiment_metrics.experiment_name
    inner join roles
        on experiments.experiment_name = roles.experiment_name
    inner join arms
        on
            experiments.experiment_name = arms.experiment_name
            and not arms.is_control
    left join metrics
        on experiment_metrics.metric_name = metrics.metric_name
),

tails as (
    select
        tests.*,
        test_alpha / test_sides as test_tail,
        {{ confidence_sequence_mixture('tests.alpha') }} as mixture,
        final_bounds.critical_value as final_bound
    from tests
    left join final_bounds
        on
            tests.bounds = final_bounds.bounds
            and final_bounds.alpha > tests.test_alpha * (1e0 - 1e-6)
            and final_bounds.alpha < tests.test_alpha * (1e0 + 1e-6)
)

select
    experiment_name,
    metric_name,
    metric_role,
    treatment_variant,
    kind,
    better,
    delay_days,
    window_days,
    inference,
    planned_units,
    holdout_share,
    minimum_effect,
    control_share,
    treatment_share,
    test_sides,
    test_alpha,
    1e0 - test_beta as test_power,
    case inference
        when 'fixed' then -({{ normal_quantile('test_tail') }})
        when 'group_sequential' then final_bound
        else {{ confidence_sequence_boundary('mixture', 'test_alpha') }}
    end as critical_value,
    -({{ normal_quantile('test_beta') }}) as power_quantile
from tails
