{#- Metric events by the unit that experiments assign, but those of excluded users. -#}
{{ config(materialized='view') }}
with

metric_events as (
    select * from {{ ref('int_metric_events') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

counted_events as (
    select metric_events.*
    from metric_events
    left join excluded
        on metric_events.unit_id = excluded.unit_id
    where excluded.unit_id is null
)

{%- for unit, column in unit_columns().items() %}

select
    '{{ unit }}' as unit,
    {{ column }} as unit_id,
    metric_name,
    event_date,
    occurred_at,
    numerator,
    denominator
from counted_events
where {{ column }} is not null
{{ 'union all' if not loop.last }}
{%- endfor %}
