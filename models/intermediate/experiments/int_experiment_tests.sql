{#- Each estimate judged: Welch (1947) for the absolute effect, Fieller (1954) with the same
    quantile for the relative one, an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas 2024), the margin of guardrails, and Bayes with a normal or flat prior. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

estimates as (
    select * from {{ ref('int_experiment_estimates') }}
    where {{ is_touched('experiment_name') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

tuning as (
    select * from {{ ref('int_experiment_tuning') }}
),

declared_estimates as (
    select
        estimates.*,
        estimates.treatment_value - estimates.control_value as absolute_effect,
        estimates.control_variance + estimates.treatment_variance as effect_variance,
        -estimates.control_covariance as baseline_covariance,
        experiment_metrics.role as metric_role,
        experiment_metrics.minimum_effect,
        experiment_metrics.prior_mean,
        experiment_metrics.prior_std_dev,
        experiments.alpha,
        experiments.inference,
        tuning.tuning_units,
        metrics.better,
        case when metrics.better = 'down' then -1e0 else 1e0 end as direction
    from estimates
    inner join experiments
        on estimates.experiment_name = experiments.experiment_name
    inner join experiment_metrics
        on
            estimates.experiment_name = experiment_metrics.experiment_name
            and estimates.metric_name = experiment_metrics.metric_name
    inner join metrics
        on estimates.metric_name = metrics.metric_name
    left join tuning
        on
            estimates.experiment_name = tuning.experiment_name
            and estimates.treatment_variant = tuning.treatment_variant
),

judged as (
    select
        declared_estimates.*,
        case
            -- units of a quantile are those with events
            when kind = 'quantile' and least(control_units, treatment_units) = 0
                then 'too_few_events'
            when control_units < 2 or treatment_units < 2 then 'one_unit'
            when baseline is null then 'zero_denominator'
            when has_infeasible_moments or control_variance < 0e0 or treatment_variance < 0e0
                then 'infeasible_moments'
            when adjustment = 'post_stratified' and absolute_effect is null then 'thin_stratum'
            when adjustment in ('cuped', 'lin') and absolute_effect is null then 'no_history'
            when absolute_effect is null then 'zero_denominator'
            when kind = 'quantile' and effect_variance is null then 'too_few_events'
            when has_tied_values then 'tied_values'
            when not effect_variance > 0e0 then 'zero_variance'
            when control_freedom < 1e0 or treatment_freedom < 1e0 then 'too_few_units'
            else 'ok'
        end as status
    from declared_estimates
),

welch as (
    select
        judged.*,
        case when status = 'ok' then sqrt(effect_variance) end as absolute_std_error,
        case when status = 'ok' then absolute_effect / sqrt(effect_variance) end as t_statistic,
        case
            when status = 'ok'
                then effect_variance * effect_variance / (
                    control_variance * control_variance / control_freedom
                    + treatment_variance * treatment_variance / treatment_freedom
                )
        end as degrees_of_freedom
    from judged
),

-- the always-valid boundary: rho is chosen for the tuning sample, n grows with the data. Asymptotic,
-- it begins with so many units that their variance is known, and where a ratio's denominator is
-- known to 20%: the variance of a ratio of few units that have one is far too small (Cochran 1977,
-- section 6.3), and looking often finds that day.
mixtures as (
    select
        welch.*,
        case
            when
                least(control_units, treatment_units) < {{ var('sequential_units_minimum') }}
                then null
            -- a hair more: on a few units the share may be 0.04 but for rounding
            when denominator_dispersion is null or denominator_dispersion <= 4.00000004e-2
                then (control_units + treatment_units)
                    * {{ confidence_sequence_mixture('alpha') }} / nullif(tuning_units, 0e0)
        end as mixture
    from welch
),

margins as (
    select
        mixtures.*,
        case
            when status = 'ok'
                then t_statistic * t_statistic * mixture / (2e0 * (mixture + 1e0))
                    - ln(mixture + 1e0) / 2e0
        end as log_e_value,
        case when status = 'ok' then {{ confidence_sequence_boundary('mixture', 'alpha') }} end
            as sequential_critical_value,
        -- worse than the margin: direction x effect <= -margin x |baseline|, both estimated
        case
            when status = 'ok' and metric_role = 'guardrail' and minimum_effect is not null
                then (direction * absolute_effect + minimum_effect * abs(baseline))
                    / nullif(sqrt(
                        effect_variance
                        + 2e0 * direction * minimum_effect * baseline_covariance
                        * case when baseline < 0e0 then -1e0 else 1e0 end
                        + minimum_effect * minimum_effect * baseline_variance
                    ), 0e0)
        end as margin_statistic
    from mixtures
),

-- precision-weighed mean of effect and prior, the prior being relative to the baseline
posteriors as (
    select
        margins.*,
        case
            when status = 'ok' and prior_std_dev is null then absolute_effect
            when status = 'ok' and baseline != 0e0
                then (
                    absolute_effect * prior_std_dev * prior_std_dev * baseline * baseline
                    + coalesce(prior_mean, 0e0) * abs(baseline) * effect_variance
                ) / (
                    prior_std_dev * prior_std_dev * baseline * baseline + effect_variance
                )
        end as posterior_mean,
        case
            when status = 'ok' and prior_std_dev is null then sqrt(effect_variance)
            when status = 'ok' and baseline != 0e0
                then sqrt(
                    effect_variance * prior_std_dev * prior_std_dev * baseline * baseline
                    / (prior_std_dev * prior_std_dev * baseline * baseline + effect_variance)
                )
        end as posterior_std_dev
    from margins
),

standardised as (
    select
        posteriors.*,
        direction * posterior_mean / nullif(posterior_std_dev, 0e0) as posterior_score
    from posteriors
),

improvements as (
    select
        standardised.*,
        {{ normal_cdf('posterior_score') }} as probability_of_improvement,
        {{ normal_tail('posterior_score') }} as probability_of_harm,
        0.3989422804014327e0 * exp(-least(posterior_score * posterior_score, 1.4e3) / 2e0)
            as posterior_density
    from standardised
),

{{ student_t_tail(
    'improvements', 't_statistic', 'degrees_of_freedom', output='p_value', name='tails'
) }},

{{ student_t_tail(
    'tails', 'margin_statistic', 'degrees_of_freedom', output='non_inferiority_p_value',
    tail='upper', name='margin_tails'
) }},

{{ student_t_quantile(
    'margin_tails', 'alpha', 'degrees_of_freedom', output='critical_value', name='quantiles'
) }},

{{ fieller_interval(
    'quantiles', 'absolute_effect', 'effect_variance', 'baseline', 'baseline_variance',
    'baseline_covariance', 'critical_value', output='relative', name='relative_intervals'
) }},

{{ fieller_interval(
    'relative_intervals', 'absolute_effect', 'effect_variance', 'baseline', 'baseline_variance',
    'baseline_covariance', 'sequential_critical_value', output='sequential',
    name='sequential_intervals'
) }}

select
    experiment_name,
    metric_name,
    metric_role,
    kind,
    better,
    treatment_variant,
    segment_name,
    segment_value,
    adjustment,
    as_of_date,
    is_final,
    inference,
    alpha,
    control_units,
    treatment_units,
    units_without_history,
    control_value,
    treatment_value,
    baseline,
    baseline_variance,
    baseline_covariance,
    absolute_effect,
    effect_variance,
    absolute_std_error,
    t_statistic,
    degrees_of_freedom,
    p_value,
    absolute_effect - critical_value * absolute_std_error as absolute_ci_lower,
    absolute_effect + critical_value * absolute_std_error as absolute_ci_upper,
    case when status = 'ok' then absolute_effect / nullif(abs(baseline), 0e0) end
        as relative_effect,
    relative_g,
    relative_lower as relative_ci_lower,
    relative_upper as relative_ci_upper,
    tuning_units,
    mixture,
    log_e_value,
    sequential_critical_value,
    sequential_g,
    sequential_lower as sequential_ci_lower,
    sequential_upper as sequential_ci_upper,
    minimum_effect,
    non_inferiority_p_value,
    posterior_mean,
    posterior_std_dev,
    probability_of_improvement,
    posterior_std_dev * posterior_density - direction * posterior_mean * probability_of_harm
        as expected_loss,
    case
        when status = 'ok' and adjustment != 'none'
            then coalesce(
                pooled_variance_removed, 1e0 - effect_variance / nullif(raw_variance, 0e0)
            )
    end as variance_removed,
    theta,
    status
from sequential_intervals
