{#- Control and treatment side by side, unadjusted: each arm's mean or ratio and the variances that
    adjustments need, of both arms as one sample too. Variances have n - 1, for proportions too; a
    ratio takes the delta method (Deng, Knoblich and Lu 2018). -#}
{%- set parts = moment_parts() -%}
{%- set arms = ['control', 'treatment'] -%}
{%- set sides = arms + ['pooled'] -%}
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
                {%- for side in arms %}
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
        {%- for side in arms %}
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
        {{ side }}_covariate_numerator_mean / nullif({{ side }}_covariate_denominator_mean, 0e0)
            as {{ side }}_covariate
        {%- endfor %}
        {%- for side in arms %}
        {%- for part in ['denominator', 'covariate_denominator'] %},
        {{ side }}_{{ part }}_{{ part }} / {{ side }}_units
        / nullif({{ side }}_{{ part }}_mean * {{ side }}_{{ part }}_mean, 0e0)
            as {{ side }}_{{ part }}_dispersion
        {%- endfor %}
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
        end as {{ side }}_cross_covariance
        {%- endfor %}
    from linearised
)

select
    experiment_name,
    metric_name,
    kind,
    treatment_variant,
    segment_name,
    segment_value,
    as_of_date,
    is_final,
    pooled_covariate_numerator_mean is not null as has_covariate,
    has_infeasible_moments,
    pooled_units_without_history as units_without_history
    {%- for side in arms %},
    {{ side }}_units,
    {{ side }}_numerator_mean,
    {{ side }}_denominator_mean,
    {{ side }}_numerator_numerator as {{ side }}_numerator_variance,
    {{ side }}_numerator_denominator as {{ side }}_numerator_denominator_covariance,
    {{ side }}_denominator_denominator as {{ side }}_denominator_variance,
    {{ side }}_denominator_dispersion,
    {{ side }}_covariate_denominator_dispersion,
    {{ side }}_value,
    {{ side }}_value_scale
    {%- endfor %}
    {%- for side in sides %},
    {{ side }}_value_variance,
    {{ side }}_covariate,
    {{ side }}_covariate_variance,
    {{ side }}_cross_covariance
    {%- endfor %}
from denoised
