{% macro json_text(expression) -%}
    {{ return(adapter.dispatch('json_text', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__json_text(expression) -%}
    cast(to_json({{ expression }}) as varchar)
{%- endmacro %}

{% macro spark__json_text(expression) -%}
    to_json({{ expression }}, map('ignoreNullFields', 'false'))
{%- endmacro %}
