{{ overwrite_by('int_event_date_versions', 'event_date', reads_metrics=true) }}
with

metric_events as (
    select * from {{ ref('int_metric_events') }}
    where {{ is_touched('event_date') }}
),

by_unit as (
    {%- for unit, column in {
        'all': "'all'", 'user': 'unit_id', 'session': 'session_id',
        'organization': 'organization_id',
    }.items() %}
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
)

select
    metric_name,
    unit,
    event_date,
    sum(numerator) as numerator,
    sum(denominator) as denominator
from by_unit
group by metric_name, unit, event_date
