{#- Mean or ratio of each arm, and the variance of that estimate: variances have n - 1, for
    proportions too; a ratio takes the delta method (Deng, Knoblich and Lu 2018). -#}
with

moments as (
    select * from {{ ref('int_experiment_moments') }}
),

centred as (
    select
        moments.*,
        numerator_total / units as numerator_mean,
        denominator_total / units as denominator_mean,
        (numerator_square_sum - numerator_sum * numerator_sum / units)
        / nullif(units - 1e0, 0e0) as numerator_variance,
        (denominator_square_sum - denominator_sum * denominator_sum / units)
        / nullif(units - 1e0, 0e0) as denominator_variance,
        (product_sum - numerator_sum * denominator_sum / units)
        / nullif(units - 1e0, 0e0) as covariance
    from moments
),

valued as (
    select
        centred.*,
        case
            when kind = 'ratio' then numerator_mean / nullif(denominator_mean, 0e0)
            else numerator_mean
        end as value
    from centred
),

-- what is left of terms that cancel is noise, not variance: arms without any have exactly none
residuals as (
    select
        valued.*,
        case
            when kind = 'ratio'
                then numerator_variance - 2e0 * value * covariance
                    + value * value * denominator_variance
            else numerator_variance
        end as residual_variance,
        case
            when kind = 'ratio'
                then (
                    numerator_square_sum + value * value * denominator_square_sum
                ) / units
            else numerator_square_sum / units
        end as scale
    from valued
)

select
    experiment_name,
    metric_name,
    kind,
    variant,
    segment_name,
    segment_value,
    units,
    value,
    case
        when residual_variance is null then null
        when residual_variance <= 1e-13 * scale then 0e0
        when kind = 'ratio'
            then residual_variance / nullif(denominator_mean * denominator_mean, 0e0) / units
        else residual_variance / units
    end as value_variance
from residuals
