{#- Control and treatment side by side: each arm's mean or ratio and the variance of that estimate,
    raw and adjusted. Variances have n - 1, for proportions too; a ratio takes the delta method
    (Deng, Knoblich and Lu 2018). cuped: theta of both arms as one sample (Deng, Xu, Kohavi and
    Walker 2013), for ratios of the linearised parts. lin: a slope per arm (Lin 2013).
    post_stratified: strata weighed by their units in both arms (Miratrix, Sekhon and Yu 2013). -#}
{%- set parts = moment_parts() -%}
{%- set sides = ['control', 'treatment', 'pooled'] -%}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

final_moments as (
    select * from {{ ref('int_experiment_moments') }}
    where {{ is_touched('experiment_name') }}
),

daily_moments as (
    select * from {{ ref('int_experiment_moments_daily') }}
    where {{ is_touched('experiment_name') }}
),

quantiles as (
    select * from {{ ref('int_experiment_quantiles') }}
    where {{ is_touched('experiment_name') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

moments as (
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        segment_name,
        segment_value,
        cast(null as date) as as_of_date,
        true as is_final
        {%- for column in moment_columns() %},
        {{ column }}
        {%- endfor %}
    from final_moments
    union all
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        'all' as segment_name,
        'all' as segment_value,
        as_of_date,
        false as is_final
        {%- for column in moment_columns() %},
        {{ column }}
        {%- endfor %}
    from daily_moments
),

pairs as (
    select
        treatments.experiment_name,
        treatments.metric_name,
        treatments.kind,
        treatments.variant as treatment_variant,
        treatments.segment_name,
        treatments.segment_value,
        treatments.as_of_date,
        treatments.is_final
        {%- for column in moment_columns() %},
        controls.{{ column }} as control_{{ column }},
        treatments.{{ column }} as treatment_{{ column }},
        controls.{{ column }} + treatments.{{ column }} as pooled_{{ column }}
        {%- endfor %}
    from moments as treatments
    inner join experiments
        on
            treatments.experiment_name = experiments.experiment_name
            and treatments.variant != experiments.control_variant
    inner join moments as controls
        on
            treatments.experiment_name = controls.experiment_name
            and treatments.metric_name = controls.metric_name
            and treatments.segment_name = controls.segment_name
            and treatments.segment_value = controls.segment_value
            and treatments.as_of_date is not distinct from controls.as_of_date
            and treatments.is_final = controls.is_final
            and controls.variant = experiments.control_variant
),

centred as (
    select
        pairs.*
        {%- for side in sides %}
        {%- for part in parts %},
        {{ side }}_{{ part }}_total / {{ side }}_units as {{ side }}_{{ part }}_mean
        {%- for other in parts[loop.index0:] %},
        {{ sample_covariance(side ~ '_', part, other) }} as {{ side }}_{{ part }}_{{ other }}
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    from pairs
),

-- no data have negative variances, more covariance than variance, or, of two values that are 0 or 1,
-- more ones together than either has
checked as (
    select
        centred.*,
        coalesce(
            kind in ('proportion', 'retention') and (
                {%- for side in ['control', 'treatment'] %}
                {%- set together -%}
                {{ side }}_numerator_covariate_numerator * ({{ side }}_units - 1e0)
                + {{ side }}_numerator_total * {{ side }}_covariate_numerator_mean
                {%- endset %}
                {{ together }} < -5e-1
                or {{ together }} > 5e-1
                    + least({{ side }}_numerator_total, {{ side }}_covariate_numerator_total)
                {{ 'or' if not loop.last }}
                {%- endfor %}
            ),
            false
        )
        {%- for side in ['control', 'treatment'] %}
        {%- for part in parts %}
        or coalesce(
            {{ side }}_{{ part }}_{{ part }} < -1e-12 * abs({{ side }}_{{ part }}_{{ part }}_sum), false
        )
        {%- for other in parts[loop.index:] %}
        or coalesce(
            abs({{ side }}_{{ part }}_{{ other }})
            > sqrt(abs({{ side }}_{{ part }}_{{ part }} * {{ side }}_{{ other }}_{{ other }}))
            * (1e0 + 1e-6)
            + 1e-12 * sqrt(
                abs({{ side }}_{{ part }}_{{ part }}_sum * {{ side }}_{{ other }}_{{ other }}_sum)
            ),
            false
        )
        {%- endfor %}
        {%- endfor %}
        {%- endfor %} as has_infeasible_moments
    from centred
),

valued as (
    select
        checked.*
        {%- for side in sides %},
        {{ side }}_numerator_mean / nullif({{ side }}_denominator_mean, 0e0) as {{ side }}_value,
        {%- for part in ['denominator', 'covariate_denominator'] %}
        {{ side }}_{{ part }}_{{ part }} / {{ side }}_units
        / nullif({{ side }}_{{ part }}_mean * {{ side }}_{{ part }}_mean, 0e0)
            as {{ side }}_{{ part }}_dispersion,
        {%- endfor %}
        {{ side }}_covariate_numerator_mean / nullif({{ side }}_covariate_denominator_mean, 0e0)
            as {{ side }}_covariate
        {%- endfor %}
    from checked
),

-- a unit's part in the mean or ratio: (numerator - value x denominator) / mean denominator
linearised as (
    select
        valued.*
        {%- for side in sides %}
        {%- for value, first, second in [
            ('value', 'numerator', 'denominator'),
            ('covariate', 'covariate_numerator', 'covariate_denominator'),
        ] %},
        {{ linearised_variance(
            side ~ '_' ~ value, side ~ '_' ~ first ~ '_' ~ first, side ~ '_' ~ first ~ '_' ~ second,
            side ~ '_' ~ second ~ '_' ~ second
        ) }} / nullif({{ side }}_{{ second }}_mean * {{ side }}_{{ second }}_mean, 0e0)
            as {{ side }}_{{ value }}_spread,
        (
            {{ side }}_{{ first }}_{{ first }}_sum
            + {{ side }}_{{ value }} * {{ side }}_{{ value }} * {{ side }}_{{ second }}_{{ second }}_sum
        ) / nullif({{ side }}_{{ second }}_mean * {{ side }}_{{ second }}_mean, 0e0)
        / {{ side }}_units as {{ side }}_{{ value }}_scale
        {%- endfor %},
        (
            {{ side }}_numerator_covariate_numerator
            - {{ side }}_covariate * {{ side }}_numerator_covariate_denominator
            - {{ side }}_value * {{ side }}_denominator_covariate_numerator
            + {{ side }}_value * {{ side }}_covariate * {{ side }}_denominator_covariate_denominator
        ) / nullif({{ side }}_denominator_mean * {{ side }}_covariate_denominator_mean, 0e0)
            as {{ side }}_raw_cross
        {%- endfor %}
    from valued
),

-- what is left of terms that cancel is noise: where nothing varies, exactly nothing does
denoised as (
    select
        linearised.*
        {%- for side in sides %}
        {%- for value in ['value', 'covariate'] %},
        case
            when abs({{ side }}_{{ value }}_spread) <= 1e-13 * {{ side }}_{{ value }}_scale then 0e0
            else {{ side }}_{{ value }}_spread
        end as {{ side }}_{{ value }}_variance
        {%- endfor %},
        case
            when abs({{ side }}_raw_cross)
                <= 1e-13 * sqrt({{ side }}_value_scale * {{ side }}_covariate_scale)
                then 0e0
            else {{ side }}_raw_cross
        end as {{ side }}_cross
        {%- endfor %}
    from linearised
),

slopes as (
    select
        denoised.*,
        pooled_cross / nullif(pooled_covariate_variance, 0e0) as theta,
        control_cross / nullif(control_covariate_variance, 0e0) as control_slope,
        treatment_cross / nullif(treatment_covariate_variance, 0e0) as treatment_slope
    from denoised
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
        {{ side }}_value_variance - 2e0 * theta * {{ side }}_cross
        + theta * theta * {{ side }}_covariate_variance as {{ side }}_residual
        {%- endfor %},
        control_units - 1e0 as control_freedom,
        treatment_units - 1e0 as treatment_freedom,
        control_value_variance - theta * control_cross as control_shared
    from slopes
    where pooled_covariate_numerator_mean is not null
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
        ({{ side }}_value_variance - {{ side }}_slope * {{ side }}_cross)
        * ({{ side }}_units - 1e0) / nullif({{ side }}_units - 2e0, 0e0) as {{ side }}_residual
        {%- endfor %},
        control_units - 2e0 as control_freedom,
        treatment_units - 2e0 as treatment_freedom,
        control_value_variance - control_slope * control_cross as control_shared
    from slopes
    where pooled_covariate_numerator_mean is not null and segment_name = 'all' and is_final
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
        pooled_units_without_history as units_without_history,
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
                then theta * pooled_cross / nullif(pooled_value_variance, 0e0)
        end as pooled_variance_removed,
        has_infeasible_moments,
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

-- strata: the cells of the segment that the experiment declares, both arms present
strata as (
    select
        denoised.*,
        experiments.stratify_by
    from denoised
    inner join experiments
        on
            denoised.experiment_name = experiments.experiment_name
            and denoised.segment_name = experiments.stratify_by
    where denoised.is_final
),

weighed as (
    select
        strata.*,
        cast(pooled_units as double) / sum(pooled_units) over pair as weight
    from strata
    window pair as (partition by experiment_name, metric_name, treatment_variant)
),

stratum_totals as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        sum(pooled_units) as units,
        min(least(control_units, treatment_units)) as smallest_cell
        {%- for side in ['control', 'treatment'] %},
        sum(weight * {{ side }}_denominator_mean) as {{ side }}_denominator,
        sum(weight * {{ side }}_numerator_mean)
        / nullif(sum(weight * {{ side }}_denominator_mean), 0e0) as {{ side }}_stratified
        {%- endfor %}
    from weighed
    group by experiment_name, metric_name, treatment_variant
),

stratum_variances as (
    select
        weighed.*,
        stratum_totals.units as stratified_units,
        stratum_totals.smallest_cell
        {%- for side in ['control', 'treatment'] %},
        stratum_totals.{{ side }}_stratified,
        {{ linearised_variance(
            'stratum_totals.' ~ side ~ '_stratified', side ~ '_numerator_numerator',
            side ~ '_numerator_denominator', side ~ '_denominator_denominator'
        ) }} / nullif(
            stratum_totals.{{ side }}_denominator * stratum_totals.{{ side }}_denominator, 0e0
        ) as {{ side }}_within
        {%- endfor %}
    from weighed
    inner join stratum_totals
        on
            weighed.experiment_name = stratum_totals.experiment_name
            and weighed.metric_name = stratum_totals.metric_name
            and weighed.treatment_variant = stratum_totals.treatment_variant
),

stratum_sums as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        max(stratified_units) as stratified_units,
        max(smallest_cell) as smallest_cell
        {%- for side in ['control', 'treatment'] %},
        max({{ side }}_stratified) as {{ side }}_stratified,
        sum(weight * weight * {{ side }}_within / {{ side }}_units) as {{ side }}_variance,
        sum(
            weight * weight * {{ side }}_within / {{ side }}_units
            * weight * weight * {{ side }}_within / {{ side }}_units
            / nullif({{ side }}_units - 1e0, 0e0)
        ) as {{ side }}_freedom_part
        {%- endfor %},
        sum(weight * control_within) as control_shared
    from stratum_variances
    group by experiment_name, metric_name, treatment_variant
),

post_stratified_estimates as (
    select
        totals.experiment_name,
        totals.metric_name,
        totals.kind,
        totals.treatment_variant,
        totals.segment_name,
        totals.segment_value,
        totals.as_of_date,
        totals.is_final,
        'post_stratified' as adjustment,
        totals.control_units,
        totals.treatment_units,
        totals.pooled_units_without_history as units_without_history,
        totals.control_value as baseline,
        totals.control_value_variance / totals.control_units as baseline_variance,
        -- a stratum in one arm only, or with one unit of an arm, has no variance to weigh
        case
            when stratum_sums.smallest_cell >= 2
                and stratum_sums.stratified_units = totals.pooled_units
                then stratum_sums.control_stratified
        end as control_value,
        case
            when stratum_sums.smallest_cell >= 2
                and stratum_sums.stratified_units = totals.pooled_units
                then stratum_sums.treatment_stratified
        end as treatment_value
        {%- for side in ['control', 'treatment'] %},
        case
            when abs(stratum_sums.{{ side }}_variance)
                <= 1e-11 * totals.{{ side }}_value_scale / totals.{{ side }}_units then 0e0
            else stratum_sums.{{ side }}_variance
        end as {{ side }}_variance,
        -- an arm without variance adds nothing to the other's degrees of freedom
        coalesce(
            stratum_sums.{{ side }}_variance * stratum_sums.{{ side }}_variance
            / nullif(stratum_sums.{{ side }}_freedom_part, 0e0),
            totals.{{ side }}_units - 1e0
        ) as {{ side }}_freedom
        {%- endfor %},
        stratum_sums.control_shared / totals.control_units as control_covariance,
        totals.control_value_variance / totals.control_units
        + totals.treatment_value_variance / totals.treatment_units as raw_variance,
        cast(null as double) as theta,
        cast(null as double) as pooled_variance_removed,
        totals.has_infeasible_moments,
        greatest(
            totals.control_denominator_dispersion, totals.treatment_denominator_dispersion
        ) as denominator_dispersion
    from denoised as totals
    inner join stratum_sums
        on
            totals.experiment_name = stratum_sums.experiment_name
            and totals.metric_name = stratum_sums.metric_name
            and totals.treatment_variant = stratum_sums.treatment_variant
    where totals.segment_name = 'all' and totals.is_final
),

-- of the events, whose share below the quantile the bounds are of, one is spent
quantile_variances as (
    select
        quantiles.*,
        value_variance * (events - 1e0) / events as quantile_variance
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
