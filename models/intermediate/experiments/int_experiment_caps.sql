{#- The value at which a metric is capped, over all analysed units of the experiment. -#}
with

unit_days as (
    select * from {{ ref('int_experiment_unit_days') }}
    where is_latest
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

latest as (
    select
        unit_days.experiment_name,
        unit_days.metric_name,
        unit_days.kind,
        metrics.cap_quantile,
        unit_days.numerator,
        unit_days.denominator
    from unit_days
    inner join metrics
        on
            unit_days.metric_name = metrics.metric_name
            and metrics.cap_quantile is not null
),

{{ metric_caps('latest', name='caps') }}

select
    experiment_name,
    metric_name,
    cap_quantile,
    numerator_cap,
    denominator_cap
from caps
