{{ overwrite_by('int_event_date_versions', 'event_date', reads_metrics=true) }}
with

metric_events as (
    select * from {{ ref('int_metric_events') }}
    where {{ is_touched('event_date') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

by_unit as (
    {%- for unit, column in dict(unit_columns(), all="'all'").items() %}
    select
        metric_name,
        '{{ unit }}' as unit,
        event_date,
        numerator,
        denominator
    from metric_events
    where {{ column }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

ranked as (
    select
        by_unit.*,
        metrics.quantile,
        row_number() over (
            partition by by_unit.metric_name, by_unit.unit, by_unit.event_date
            order by by_unit.numerator
        ) as value_rank,
        count(*) over (
            partition by by_unit.metric_name, by_unit.unit, by_unit.event_date
        ) as value_count
    from by_unit
    inner join metrics
        on by_unit.metric_name = metrics.metric_name
    where metrics.kind = 'quantile'
)

select
    by_unit.metric_name,
    by_unit.unit,
    by_unit.event_date,
    sum(by_unit.numerator) as numerator,
    sum(by_unit.denominator) as denominator
from by_unit
inner join metrics
    on by_unit.metric_name = metrics.metric_name
where metrics.kind != 'quantile'
group by by_unit.metric_name, by_unit.unit, by_unit.event_date
union all
select
    metric_name,
    unit,
    event_date,
    sum({{ quantile_share('numerator', 'value_rank', 'value_count', 'quantile') }}) as numerator,
    cast(null as double) as denominator
from ranked
group by metric_name, unit, event_date
