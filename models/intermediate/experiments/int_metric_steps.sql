{#- The ordered events of funnel metrics, from the metric YAML. -#}
{%- set definitions = metric_definitions() if execute else [] %}
with

declared as (
    {%- for metric in definitions if metric.kind == 'funnel' %}
    {%- for step in metric.options.steps %}
    select
        '{{ metric.name }}' as metric_name,
        {{ loop.index }} as step_number,
        {{ loop.length }} as step_count,
        '{{ step }}' as event_name
    union all
    {%- endfor %}
    {%- endfor %}
    select
        cast(null as string) as metric_name,
        cast(null as bigint) as step_number,
        cast(null as bigint) as step_count,
        cast(null as string) as event_name
)

select
    metric_name,
    cast(step_number as bigint) as step_number,
    cast(step_count as bigint) as step_count,
    event_name
from declared
where metric_name is not null
