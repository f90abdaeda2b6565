-- Fails if the turns of a date, added up as a metric, are not as many as the turns of that date.
with

metrics as (
    select
        event_date,
        numerator
    from {{ ref('fct_unit_metrics_daily') }}
    where metric_name = 'turns_per_user' and unit = 'all'
),

turns as (
    select
        event_date,
        count(*) as turn_count
    from {{ ref('fct_assistant_turns') }}
    group by event_date
)

select
    turns.event_date,
    turns.turn_count,
    metrics.event_date as metric_date,
    metrics.numerator
from turns
full outer join metrics
    on turns.event_date = metrics.event_date
where coalesce(turns.turn_count, 0) != coalesce(metrics.numerator, 0e0)
