{#- Metric events by the units that experiments assign, but those of excluded users. Each kind of unit
    reads the events itself: a CTE that all share would be copied in whole first. -#}
{{ config(materialized='view') }}
with

units as (
    select distinct unit from {{ ref('stg_declarations__experiments') }}
)

{%- for unit, column in unit_columns().items() %}

select
    units.unit,
    metric_events.{{ column }}{{ ' as unit_id' if column != 'unit_id' }},
    metric_events.metric_name,
    metric_events.event_date,
    metric_events.occurred_at,
    metric_events.numerator,
    metric_events.denominator
from {{ ref('int_metric_events') }} as metric_events
inner join units
    on units.unit = '{{ unit }}'
left join {{ ref('int_units_excluded') }} as excluded
    on metric_events.unit_id = excluded.unit_id
where
    excluded.unit_id is null
    and metric_events.{{ column }} is not null
{{ 'union all' if not loop.last }}
{%- endfor %}
