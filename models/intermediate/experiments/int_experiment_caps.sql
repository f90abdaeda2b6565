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
),

-- between two ranks the quantile is interpolated (Hyndman and Fan 1996, type 7)
placed as (
    select
        ranked.*,
        1e0 + (units - 1e0) * cap_quantile as place
    from ranked
)

select
    experiment_name,
    metric_name,
    cap_quantile,
    {%- for part in ['numerator', 'denominator'] %}
    {%- set cap %}
    sum(
        {{ part }} * case
            when {{ part }}_rank = floor(place) then 1e0 - (place - floor(place))
            when {{ part }}_rank = floor(place) + 1e0 then place - floor(place)
        end
    )
    {%- endset %}
    {%- if part == 'numerator' %}
    {{ cap }} as numerator_cap,
    {%- else %}
    case when max(kind) = 'ratio' then {{ cap }} end as denominator_cap
    {%- endif %}
    {%- endfor %}
from placed
group by experiment_name, metric_name, cap_quantile
