{#- Each comparison estimated, raw and adjusted. cuped: theta of both arms as one sample (Deng, Xu,
    Kohavi and Walker 2013), for ratios of the linearised parts. lin: a slope per arm (Lin 2013).
    post_stratified: as int_experiment_stratified has it. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

comparisons as (
    select * from {{ ref('int_experiment_comparisons') }}
    where {{ is_touched('experiment_name') }}
),

stratified as (
    select * from {{ ref('int_experiment_stratified') }}
    where {{ is_touched('experiment_name') }}
),

quantiles as (
    select * from {{ ref('int_experiment_quantiles') }}
    where {{ is_touched('experiment_name') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

slopes as (
    select
        comparisons.*,
        pooled_cross_covariance / nullif(pooled_covariate_variance, 0e0) as theta,
        control_cross_covariance / nullif(control_covariate_variance, 0e0) as control_slope,
        treatment_cross_covariance / nullif(treatment_covariate_variance, 0e0) as treatment_slope
    from comparisons
),

unadjusted as (
    select
        slopes.*,
        'none' as adjustment,
        control_value as control_estimate,
        treatment_value as treatment_estimate,
        control_value_variance as control_residual,
        treatment_value_variance as treatment_residual,
        control_units - 1e0 as control_freedom,
        treatment_units - 1e0 as treatment_freedom,
        control_value_variance as control_shared
    from slopes
),

cuped as (
    select
        slopes.*,
        'cuped' as adjustment,
        control_value - theta * (control_covariate - pooled_covariate) as control_estimate,
        treatment_value - theta * (treatment_covariate - pooled_covariate) as treatment_estimate
        {%- for side in ['control', 'treatment'] %},
        {{ side }}_value_variance - 2e0 * theta * {{ side }}_cross_covariance
        + theta * theta * {{ side }}_covariate_variance as {{ side }}_residual
        {%- endfor %},
        control_units - 1e0 as control_freedom,
        treatment_units - 1e0 as treatment_freedom,
        control_value_variance - theta * control_cross_covariance as control_shared
    from slopes
    where has_covariate
),

lin as (
    select
        slopes.*,
        'lin' as adjustment
        {%- for side in ['control', 'treatment'] %},
        {{ side }}_value - {{ side }}_slope * ({{ side }}_covariate - pooled_covariate)
            as {{ side }}_estimate
        {%- endfor %}
        {%- for side in ['control', 'treatment'] %},
        ({{ side }}_value_variance - {{ side }}_slope * {{ side }}_cross_covariance)
        * ({{ side }}_units - 1e0) / nullif({{ side }}_units - 2e0, 0e0) as {{ side }}_residual
        {%- endfor %},
        control_units - 2e0 as control_freedom,
        treatment_units - 2e0 as treatment_freedom,
        control_value_variance - control_slope * control_cross_covariance as control_shared
    from slopes
    where has_covariate and segment_name = 'all' and is_final
),

regressed as (
    select * from unadjusted
    union all
    select * from cuped
    union all
    select * from lin
),

regressed_estimates as (
    select
        experiment_name,
        metric_name,
        kind,
        treatment_variant,
        segment_name,
        segment_value,
        as_of_date,
        is_final,
        adjustment,
        control_units,
        treatment_units,
        units_without_history,
        control_value as baseline,
        control_value_variance / control_units as baseline_variance,
        control_estimate as control_value,
        treatment_estimate as treatment_value
        {%- for side in ['control', 'treatment'] %},
        case
            when abs({{ side }}_residual) <= 1e-11 * {{ side }}_value_variance then 0e0
            else {{ side }}_residual / {{ side }}_units
        end as {{ side }}_variance,
        {{ side }}_freedom
        {%- endfor %},
        control_shared / control_units as control_covariance,
        (control_value_variance / control_units + treatment_value_variance / treatment_units)
            as raw_variance,
        case when adjustment = 'cuped' then theta end as theta,
        -- one slope adjusts both arms, so that they can be taken as one sample
        case
            when adjustment = 'cuped'
                then theta * pooled_cross_covariance / nullif(pooled_value_variance, 0e0)
        end as pooled_variance_removed,
        has_infeasible_moments,
        false as has_tied_values,
        -- greatest() leaves nulls out
        case
            when adjustment = 'none'
                then greatest(control_denominator_dispersion, treatment_denominator_dispersion)
            else greatest(
                control_denominator_dispersion, treatment_denominator_dispersion,
                control_covariate_denominator_dispersion,
                treatment_covariate_denominator_dispersion
            )
        end as denominator_dispersion
    from regressed
),

post_stratified_estimates as (
    select
        comparisons.experiment_name,
        comparisons.metric_name,
        comparisons.kind,
        comparisons.treatment_variant,
        comparisons.segment_name,
        comparisons.segment_value,
        comparisons.as_of_date,
        comparisons.is_final,
        'post_stratified' as adjustment,
        comparisons.control_units,
        comparisons.treatment_units,
        comparisons.units_without_history,
        comparisons.control_value as baseline,
        comparisons.control_value_variance / comparisons.control_units as baseline_variance,
        stratified.control_value,
        stratified.treatment_value,
        stratified.control_variance,
        stratified.control_freedom,
        stratified.treatment_variance,
        stratified.treatment_freedom,
        stratified.control_covariance,
        comparisons.control_value_variance / comparisons.control_units
        + comparisons.treatment_value_variance / comparisons.treatment_units as raw_variance,
        cast(null as double) as theta,
        cast(null as double) as pooled_variance_removed,
        comparisons.has_infeasible_moments,
        false as has_tied_values,
        greatest(
            comparisons.control_denominator_dispersion,
            comparisons.treatment_denominator_dispersion
        ) as denominator_dispersion
    from comparisons
    inner join stratified
        on
            comparisons.experiment_name = stratified.experiment_name
            and comparisons.metric_name = stratified.metric_name
            and comparisons.treatment_variant = stratified.treatment_variant
    where comparisons.segment_name = 'all' and comparisons.is_final
),

-- of the events, whose share below the quantile the bounds are of, one is spent
quantile_variances as (
    select
        quantiles.*,
        value_variance * (events - 1e0) / nullif(events, 0) as quantile_variance
    from quantiles
),

quantile_estimates as (
    select
        treatments.experiment_name,
        treatments.metric_name,
        treatments.kind,
        treatments.variant as treatment_variant,
        treatments.segment_name,
        treatments.segment_value,
        treatments.as_of_date,
        treatments.is_final,
        'none' as adjustment,
        controls.units as control_units,
        treatments.units as treatment_units,
        controls.units + treatments.units as units_without_history,
        controls.value as baseline,
        controls.quantile_variance as baseline_variance,
        controls.value as control_value,
        treatments.value as treatment_value,
        controls.quantile_variance as control_variance,
        controls.units - 1e0 as control_freedom,
        treatments.quantile_variance as treatment_variance,
        treatments.units - 1e0 as treatment_freedom,
        controls.quantile_variance as control_covariance,
        controls.quantile_variance + treatments.quantile_variance as raw_variance,
        cast(null as double) as theta,
        cast(null as double) as pooled_variance_removed,
        false as has_infeasible_moments,
        controls.has_tied_values or treatments.has_tied_values as has_tied_values,
        cast(null as double) as denominator_dispersion
    from quantile_variances as treatments
    inner join experiments
        on
            treatments.experiment_name = experiments.experiment_name
            and treatments.variant != experiments.control_variant
    inner join quantile_variances as controls
        on
            treatments.experiment_name = controls.experiment_name
            and treatments.metric_name = controls.metric_name
            and treatments.segment_name = controls.segment_name
            and treatments.segment_value = controls.segment_value
            and treatments.as_of_date is not distinct from controls.as_of_date
            and treatments.is_final = controls.is_final
            and controls.variant = experiments.control_variant
)

select * from regressed_estimates
union all
select * from post_stratified_estimates
union all
select * from quantile_estimates
