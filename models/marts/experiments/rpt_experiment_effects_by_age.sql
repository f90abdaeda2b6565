{#- The effect by days since exposure: an effect that fades is novelty, one that grows is learning.
    Welch (1947) per day, over the units whose day has passed; days share units, so that their
    intervals are not independent. -#}
with

ages as (
    select * from {{ ref('int_experiment_unit_ages') }}
),

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where kind in ('mean', 'ratio')
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

days as (
    select distinct
        experiment_name,
        metric_name,
        days_since_exposure
    from ages
),

-- units that did nothing on the day count as 0
observed as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.variant,
        days.days_since_exposure,
        cast(count(*) as double) as units
    from windows
    inner join days
        on
            windows.experiment_name = days.experiment_name
            and windows.metric_name = days.metric_name
    cross join as_of
    where
        {{ seconds_between('windows.window_start', 'as_of.as_of') }}
        >= (days.days_since_exposure + 1) * 86400e0
        and {{ seconds_between('windows.window_start', 'windows.window_end') }}
        >= (days.days_since_exposure + 1) * 86400e0
    group by
        windows.experiment_name, windows.metric_name, windows.kind, windows.variant,
        days.days_since_exposure
),

sums as (
    select
        experiment_name,
        metric_name,
        variant,
        days_since_exposure,
        sum(numerator) as numerator_sum,
        sum(denominator) as denominator_sum,
        sum(numerator * numerator) as numerator_square_sum,
        sum(denominator * denominator) as denominator_square_sum,
        sum(numerator * denominator) as product_sum
    from ages
    group by experiment_name, metric_name, variant, days_since_exposure
),

arms as (
    select
        observed.*,
        coalesce(sums.numerator_sum, 0e0) as numerator_sum,
        case
            when observed.kind = 'ratio' then coalesce(sums.denominator_sum, 0e0)
            else observed.units
        end as denominator_sum,
        coalesce(sums.numerator_square_sum, 0e0) as numerator_square_sum,
        case
            when observed.kind = 'ratio' then coalesce(sums.denominator_square_sum, 0e0)
            else observed.units
        end as denominator_square_sum,
        case
            when observed.kind = 'ratio' then coalesce(sums.product_sum, 0e0)
            else coalesce(sums.numerator_sum, 0e0)
        end as product_sum
    from observed
    left join sums
        on
            observed.experiment_name = sums.experiment_name
            and observed.metric_name = sums.metric_name
            and observed.variant = sums.variant
            and observed.days_since_exposure = sums.days_since_exposure
),

valued as (
    select
        arms.*,
        numerator_sum / nullif(denominator_sum, 0e0) as value
    from arms
),

-- residuals of a mean or ratio add up to 0, so that their squares need no centring
squared as (
    select
        valued.*,
        {{ linearised_variance(
            'value', 'numerator_square_sum', 'product_sum', 'denominator_square_sum'
        ) }} as residual_square_sum
    from valued
    where value is not null
),

estimated as (
    select
        squared.*,
        -- what is left of numbers that cancel is their rounding, and no variance
        case
            when residual_square_sum > 1e-13 * numerator_square_sum then residual_square_sum
            else 0e0
        end * units / nullif(units - 1e0, 0e0) / (denominator_sum * denominator_sum)
            as value_variance
    from squared
),

comparisons as (
    select
        treatments.experiment_name,
        treatments.metric_name,
        treatments.variant as treatment_variant,
        treatments.days_since_exposure,
        experiments.alpha,
        cast(controls.units as bigint) as control_units,
        cast(treatments.units as bigint) as treatment_units,
        controls.value as control_value,
        treatments.value as treatment_value,
        treatments.value - controls.value as absolute_effect,
        controls.value_variance + treatments.value_variance as effect_variance,
        (controls.value_variance + treatments.value_variance)
        * (controls.value_variance + treatments.value_variance)
        / nullif(
            controls.value_variance * controls.value_variance / nullif(controls.units - 1e0, 0e0)
            + treatments.value_variance * treatments.value_variance
            / nullif(treatments.units - 1e0, 0e0), 0e0
        ) as degrees_of_freedom
    from estimated as treatments
    inner join experiments
        on
            treatments.experiment_name = experiments.experiment_name
            and treatments.variant != experiments.control_variant
    inner join estimated as controls
        on
            treatments.experiment_name = controls.experiment_name
            and treatments.metric_name = controls.metric_name
            and treatments.days_since_exposure = controls.days_since_exposure
            and controls.variant = experiments.control_variant
),

{{ student_t_quantile(
    'comparisons', 'alpha', 'degrees_of_freedom', output='critical_value', name='quantiles'
) }}

select
    experiment_name,
    metric_name,
    treatment_variant,
    days_since_exposure,
    control_units,
    treatment_units,
    control_value,
    treatment_value,
    absolute_effect,
    case when effect_variance > 0e0 then sqrt(effect_variance) end as absolute_std_error,
    absolute_effect - critical_value * sqrt(effect_variance) as absolute_ci_lower,
    absolute_effect + critical_value * sqrt(effect_variance) as absolute_ci_upper,
    absolute_effect / nullif(abs(control_value), 0e0) as relative_effect,
    case
        when least(control_units, treatment_units) < 2 then 'one_unit'
        when effect_variance > 0e0 then 'ok'
        else 'zero_variance'
    end as status
from quantiles
