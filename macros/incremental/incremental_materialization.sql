{% macro incremental_materialization() -%}
    {{ return(adapter.dispatch('incremental_materialization', 'attune')()) }}
{%- endmacro %}

{% macro duckdb__incremental_materialization() -%}
    {{ return('incremental') }}
{%- endmacro %}

{% macro spark__incremental_materialization() -%}
    {{ return('table') }}
{%- endmacro %}
