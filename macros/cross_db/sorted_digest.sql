{% macro sorted_digest(expression) -%}
    {{ return(adapter.dispatch('sorted_digest', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__sorted_digest(expression) -%}
    md5(string_agg({{ expression }}, ',' order by {{ expression }}))
{%- endmacro %}

{% macro spark__sorted_digest(expression) -%}
    md5(array_join(array_sort(collect_list({{ expression }})), ','))
{%- endmacro %}
