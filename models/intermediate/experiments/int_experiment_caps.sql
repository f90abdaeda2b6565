{#- The value at which a metric is capped: the declared quantile over all analysed units of the
    experiment, zeros included, the same units for both parts of a ratio. -#}
with

latest as (
    select * from {{ ref('int_experiment_unit_days') }}
    where is_latest
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
    where cap_quantile is not null
),

ranked as (
    select
        latest.experiment_name,
        latest.metric_name,
        latest.kind,
        metrics.cap_quantile,
        latest.numerator,
        latest.denominator,
        row_number() over (
            partition by latest.experiment_name, latest.metric_name order by latest.numerator
        ) as numerator_rank,
        row_number() over (
            partition by latest.experiment_name, latest.metric_name order by latest.denominator
        ) as denominator_rank,
        count(*) over (partition by latest.experiment_name, latest.metric_name) as units
    from latest
    inner join metrics
        on latest.metric_name = metrics.metric_name
)

select
    experiment_name,
    metric_name,
    cap_quantile,
    sum({{ quantile_share('numerator', 'numerator_rank', 'units', 'cap_quantile') }})
        as numerator_cap,
    case
        when max(kind) = 'ratio'
            then sum({{ quantile_share('denominator', 'denominator_rank', 'units', 'cap_quantile') }})
    end as denominator_cap
from ranked
group by experiment_name, metric_name, cap_quantile
