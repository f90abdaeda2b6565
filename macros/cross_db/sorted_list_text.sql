{% macro sorted_list_text(expression, separator=', ') -%}
    {{ return(adapter.dispatch('sorted_list_text', 'attune')(expression, separator)) }}
{%- endmacro %}

{% macro duckdb__sorted_list_text(expression, separator) -%}
    string_agg({{ expression }}, '{{ separator }}' order by {{ expression }})
{%- endmacro %}

{% macro spark__sorted_list_text(expression, separator) -%}
    nullif(array_join(array_sort(collect_list({{ expression }})), '{{ separator }}'), '')
{%- endmacro %}
