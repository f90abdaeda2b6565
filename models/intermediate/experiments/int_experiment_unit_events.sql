{#- Metric events by the unit that experiments assign. -#}
{{ config(materialized='view') }}
with

metric_events as (
    select * from {{ ref('int_metric_events') }}
)

{%- for unit, column in {
    'user': 'unit_id', 'session': 'session_id', 'organization': 'organization_id',
}.items() %}

select
    '{{ unit }}' as unit,
    {{ column }} as unit_id,
    metric_name,
    occurred_at,
    numerator,
    denominator
from metric_events
where {{ column }} is not null
{{ 'union all' if not loop.last }}
{%- endfor %}
