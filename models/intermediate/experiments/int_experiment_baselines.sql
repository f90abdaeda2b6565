{#- What a metric is like without treatment: from its own history, or from control so far where the
    telemetry does not reach back far enough, or from what little history there is. -#}
with

history as (
    select * from {{ ref('int_experiment_history') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

estimates as (
    select * from {{ ref('int_experiment_estimates') }}
    where is_final and segment_name = 'all' and adjustment in ('none', 'cuped')
),

means as (
    select
        experiment_name,
        metric_name,
        max(entry_days) as entry_days,
        min(case when is_covered then 1 else 0 end) = 1 as is_covered,
        max(case when has_covariate then 1 else 0 end) = 1 as has_covariate,
        count(*) as units,
        avg(denominator) as denominator_mean,
        sum(numerator) / nullif(sum(denominator), 0e0) as value,
        avg(covariate_denominator) as covariate_denominator_mean,
        sum(covariate_numerator) / nullif(sum(covariate_denominator), 0e0) as covariate
    from history
    group by experiment_name, metric_name
),

-- a unit's part in the mean or ratio, whose own mean is 0
linearised as (
    select
        means.*,
        (history.numerator - means.value * history.denominator)
        / nullif(means.denominator_mean, 0e0) as part,
        (history.covariate_numerator - means.covariate * history.covariate_denominator)
        / nullif(means.covariate_denominator_mean, 0e0) as covariate_part
    from history
    inner join means
        on
            history.experiment_name = means.experiment_name
            and history.metric_name = means.metric_name
),

historic as (
    select
        experiment_name,
        metric_name,
        entry_days,
        is_covered,
        has_covariate,
        units,
        value,
        sum(part * part) / nullif(units - 1e0, 0e0) as variance,
        sum(part * covariate_part) * sum(part * covariate_part)
        / nullif(sum(part * part) * sum(covariate_part * covariate_part), 0e0) as squared_correlation
    from linearised
    group by
        experiment_name, metric_name, entry_days, is_covered, has_covariate, units, value
),

historic_baselines as (
    select
        experiment_name,
        metric_name,
        case when is_covered then 'history' else 'partial_history' end as baseline_source,
        case when is_covered then 0 else 2 end as preference,
        units as baseline_units,
        value as baseline_value,
        variance as baseline_variance,
        case when has_covariate then variance * (1e0 - squared_correlation) end as cuped_variance,
        has_covariate,
        units / cast(entry_days as double) as units_per_day
    from historic
),

-- the same control stands beside every treatment; CUPED's slope is of both arms
controls as (
    select
        experiment_name,
        metric_name,
        max(control_units) as baseline_units,
        max(baseline) as baseline_value,
        max(baseline_variance * control_units) as baseline_variance,
        avg(case when adjustment = 'cuped' then control_variance * control_units end)
            as cuped_variance,
        max(case when adjustment = 'cuped' then 1 else 0 end) = 1 as has_covariate
    from estimates
    group by experiment_name, metric_name
),

arrivals as (
    select
        units.experiment_name,
        count(*) as units,
        greatest({{ days_between('min(units.analysed_from)', 'max(units.analysed_from)') }} + 1, 1)
            as entry_days
    from units
    group by units.experiment_name
),

control_baselines as (
    select
        controls.experiment_name,
        controls.metric_name,
        'control_so_far' as baseline_source,
        1 as preference,
        controls.baseline_units,
        controls.baseline_value,
        controls.baseline_variance,
        controls.cuped_variance,
        controls.has_covariate,
        arrivals.units / cast(arrivals.entry_days as double) as units_per_day
    from controls
    left join arrivals
        on controls.experiment_name = arrivals.experiment_name
),

candidates as (
    select * from historic_baselines
    union all
    select * from control_baselines
),

preferred as (
    select
        candidates.*,
        row_number() over (
            partition by experiment_name, metric_name order by preference
        ) as place
    from candidates
)

select
    experiment_name,
    metric_name,
    baseline_source,
    baseline_units,
    baseline_value,
    baseline_variance,
    cuped_variance,
    has_covariate,
    units_per_day
from preferred
where place = 1
