with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

moments as (
    select * from {{ ref('int_experiment_moments') }}
),

arms as (
    select * from {{ ref('int_experiment_arms') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

segments as (
    select distinct
        experiment_name,
        metric_name,
        segment_name,
        segment_value
    from moments
    union
    select
        experiment_name,
        metric_name,
        'all' as segment_name,
        'all' as segment_value
    from experiment_metrics
),

comparisons as (
    select
        experiments.experiment_name,
        experiment_metrics.metric_name,
        experiment_metrics.role as metric_role,
        metrics.kind,
        metrics.better,
        experiments.control_variant,
        variants.variant as treatment_variant,
        segments.segment_name,
        segments.segment_value,
        experiments.alpha,
        coalesce(controls.units, 0) as control_units,
        coalesce(treatments.units, 0) as treatment_units,
        controls.value as control_value,
        treatments.value as treatment_value,
        controls.value_variance as control_variance,
        treatments.value_variance as treatment_variance,
        treatments.value - controls.value as absolute_effect,
        controls.value_variance + treatments.value_variance as effect_variance
    from experiments
    inner join experiment_metrics
        on experiments.experiment_name = experiment_metrics.experiment_name
    inner join variants
        on
            experiments.experiment_name = variants.experiment_name
            and experiments.control_variant != variants.variant
    inner join segments
        on
            experiment_metrics.experiment_name = segments.experiment_name
            and experiment_metrics.metric_name = segments.metric_name
    left join metrics
        on experiment_metrics.metric_name = metrics.metric_name
    left join arms as controls
        on
            segments.experiment_name = controls.experiment_name
            and segments.metric_name = controls.metric_name
            and segments.segment_name = controls.segment_name
            and segments.segment_value = controls.segment_value
            and experiments.control_variant = controls.variant
    left join arms as treatments
        on
            segments.experiment_name = treatments.experiment_name
            and segments.metric_name = treatments.metric_name
            and segments.segment_name = treatments.segment_name
            and segments.segment_value = treatments.segment_value
            and variants.variant = treatments.variant
),

-- Welch (1947): unequal variances, degrees of freedom after Satterthwaite
judged as (
    select
        comparisons.*,
        case
            when kind is null then 'metric_not_for_scorecards'
            when kind not in ('mean', 'proportion', 'retention', 'ratio') then 'kind_not_supported'
            when control_units = 0 or treatment_units = 0 then 'missing_arm'
            when control_units < 2 or treatment_units < 2 then 'one_unit'
            when control_value is null or treatment_value is null then 'zero_denominator'
            when not effect_variance > 0e0 then 'zero_variance'
            else 'ok'
        end as status
    from comparisons
),

welch as (
    select
        judged.*,
        case when status = 'ok' then sqrt(effect_variance) end as absolute_std_error,
        case
            when status = 'ok'
                then effect_variance * effect_variance / (
                    control_variance * control_variance / (control_units - 1e0)
                    + treatment_variance * treatment_variance / (treatment_units - 1e0)
                )
        end as degrees_of_freedom
    from judged
),

statistics as (
    select
        welch.*,
        absolute_effect / nullif(absolute_std_error, 0e0) as t_statistic
    from welch
),

{{ student_t_tail(
    'statistics', 't_statistic', 'degrees_of_freedom', output='p_value', name='tails'
) }},

{{ student_t_quantile(
    'tails', 'alpha', 'degrees_of_freedom', output='critical_value', name='quantiles'
) }}

select
    experiment_name,
    metric_name,
    metric_role,
    control_variant,
    treatment_variant,
    segment_name,
    segment_value,
    'none' as adjustment,
    cast(as_of.as_of as date) as as_of_date,
    control_units,
    treatment_units,
    control_value,
    treatment_value,
    absolute_effect,
    absolute_std_error,
    absolute_effect - critical_value * absolute_std_error as absolute_ci_lower,
    absolute_effect + critical_value * absolute_std_error as absolute_ci_upper,
    absolute_effect / nullif(abs(control_value), 0e0) as relative_effect,
    cast(null as double) as relative_ci_lower,
    cast(null as double) as relative_ci_upper,
    degrees_of_freedom,
    p_value,
    cast(null as double) as p_value_adjusted,
    cast(null as double) as sequential_p_value,
    cast(null as double) as sequential_ci_lower,
    cast(null as double) as sequential_ci_upper,
    cast(null as double) as e_value,
    cast(null as double) as non_inferiority_p_value,
    cast(null as double) as probability_of_improvement,
    cast(null as double) as variance_removed,
    better,
    alpha,
    status,
    case
        when status = 'ok' and control_value = 0e0 then 'zero_baseline'
    end as relative_effect_missing_reason,
    'not_computed' as null_columns_reason
from quantiles
cross join as_of
