{#- Were the arms alike before anybody was exposed? Each metric's covariate, treatment against
    control (Welch 1947; ratios by the delta method), adjusted over metrics and treatments (Holm
    1979). Nothing has happened yet, so a difference is a fault of assignment or logging. Where a few
    units hold most of a covariate, the test of a small arm is wrong far more often than it says: only
    arms whose total is spread over enough units are compared. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

moments as (
    select * from {{ ref('int_experiment_moments') }}
    where segment_name = 'all' and units > 1 and covariate_denominator_total > 0e0
),

valued as (
    select
        moments.*,
        covariate_numerator_total / covariate_denominator_total as value,
        covariate_denominator_total / units as denominator_mean
    from moments
),

arms as (
    select
        experiment_name,
        metric_name,
        variant,
        units,
        value,
        {{ linearised_variance(
            'value',
            sample_covariance('', 'covariate_numerator', 'covariate_numerator'),
            sample_covariance('', 'covariate_numerator', 'covariate_denominator'),
            sample_covariance('', 'covariate_denominator', 'covariate_denominator'),
        ) }} / (denominator_mean * denominator_mean) / units as variance,
        (
            covariate_numerator_covariate_numerator_sum
            + value * value * covariate_denominator_covariate_denominator_sum
        ) / (denominator_mean * denominator_mean) / units / units as scale,
        -- as many equal units would say as much of the mean (Kish 1965)
        {%- for part in ['covariate_numerator', 'covariate_denominator'] %}
            units / (
                1e0 + units * (units - 1e0) * {{ sample_covariance('', part, part) }}
                / nullif({{ part }}_total * {{ part }}_total, 0e0)
            ) as effective_{{ part }}_units{{ ',' if not loop.last }}
        {%- endfor %}
    from valued
),

-- what is left of terms that cancel is no variance
denoised as (
    select
        arms.*,
        case when variance > 1e-13 * scale then variance else 0e0 end as value_variance,
        coalesce(
            effective_covariate_numerator_units >= {{ var('covariate_effective_units_minimum') }}
            and effective_covariate_denominator_units
            >= {{ var('covariate_effective_units_minimum') }},
            false
        ) as is_spread
    from arms
),

pairs as (
    select
        treatments.experiment_name,
        treatments.metric_name,
        treatments.variant,
        treatments.value - controls.value as difference,
        treatments.value_variance + controls.value_variance as difference_variance,
        treatments.is_spread and controls.is_spread as is_spread,
        treatments.value_variance * treatments.value_variance / (treatments.units - 1e0)
        + controls.value_variance * controls.value_variance / (controls.units - 1e0) as spread
    from denoised as treatments
    inner join experiments
        on
            treatments.experiment_name = experiments.experiment_name
            and treatments.variant != experiments.control_variant
    inner join denoised as controls
        on
            treatments.experiment_name = controls.experiment_name
            and treatments.metric_name = controls.metric_name
            and controls.variant = experiments.control_variant
),

statistics as (
    select
        pairs.*,
        difference / sqrt(difference_variance) as t_statistic,
        difference_variance * difference_variance / spread as degrees_of_freedom
    from pairs
    where is_spread and difference_variance > 0e0
),

{{ student_t_tail(
    'statistics', 't_statistic', 'degrees_of_freedom', output='tail', name='tailed'
) }},

ranked as (
    select
        tailed.*,
        count(*) over (partition by experiment_name) as comparisons,
        row_number() over (
            partition by experiment_name order by tail, metric_name, variant
        ) as place
    from tailed
),

-- the smallest p-value times the number of comparisons is the smallest of Holm's
worst as (
    select
        ranked.*,
        case when tail * comparisons > 1e0 then 1e0 else tail * comparisons end as p_value
    from ranked
    where place = 1
),

concentrated as (
    select experiment_name
    from pairs
    where not is_spread and difference_variance > 0e0
    group by experiment_name
)

select
    experiments.experiment_name,
    'covariate_imbalance' as check_name,
    worst.t_statistic as statistic,
    worst.p_value,
    case
        when worst.p_value is null then 'not_applicable'
        when worst.p_value < 1e-3 then 'fail'
        else 'pass'
    end as status,
    case
        when worst.p_value is null and concentrated.experiment_name is not null
            then concat(
                'Too few units to judge: the covariates of each metric are those of fewer than ',
                '{{ var('covariate_effective_units_minimum') | int }} units in an arm.'
            )
        when worst.p_value is null
            then 'No metric has a covariate that varies before exposure.'
        when worst.p_value < 1e-3
            then concat(
                worst.metric_name, ' of ', worst.variant,
                ' differed from control before anybody was exposed; comparisons: ',
                {{ count_text('worst.comparisons') }}, '. Look at how units are assigned, and at',
                ' earlier experiments on the same units.'
            )
        else concat(
            'The arms were alike before exposure; comparisons: ',
            {{ count_text('worst.comparisons') }}, '.'
        )
    end as detail
from experiments
left join worst
    on experiments.experiment_name = worst.experiment_name
left join concentrated
    on experiments.experiment_name = concentrated.experiment_name
