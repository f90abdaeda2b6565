{% macro count_text(expression) -%}
    {{ return(adapter.dispatch('count_text', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__count_text(expression) -%}
    coalesce(format('{:,}', cast({{ expression }} as bigint)), 'unknown')
{%- endmacro %}

{% macro spark__count_text(expression) -%}
    coalesce(format_number(cast({{ expression }} as bigint), 0), 'unknown')
{%- endmacro %}
