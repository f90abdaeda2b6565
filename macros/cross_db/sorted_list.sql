{% macro sorted_list(expression) -%}
    {{ return(adapter.dispatch('sorted_list', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__sorted_list(expression) -%}
    list_sort(list({{ expression }}))
{%- endmacro %}

{% macro spark__sorted_list(expression) -%}
    array_sort(collect_list({{ expression }}))
{%- endmacro %}
