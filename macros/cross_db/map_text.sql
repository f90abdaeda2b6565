{% macro map_text(expression) -%}
    {{ return(adapter.dispatch('map_text', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__map_text(expression) -%}
    cast(list_sort(map_entries({{ expression }})) as varchar)
{%- endmacro %}

{% macro spark__map_text(expression) -%}
    cast(array_sort(map_entries({{ expression }})) as string)
{%- endmacro %}
