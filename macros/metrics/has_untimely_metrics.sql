{% macro has_untimely_metrics() -%}
    {#- Whether a metric counts at a time that may lie on another date than its row. -#}
    {%- set parts = metric_definitions() | map(attribute='parts') | sum(start=[]) -%}
    {%- set untimely = parts | map(attribute='time')
        | reject('in', ['occurred_at', 'first_event_at']) | list -%}
    {{ return(untimely | length > 0) }}
{%- endmacro %}
