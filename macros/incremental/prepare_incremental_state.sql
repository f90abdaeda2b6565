{% macro prepare_incremental_state() -%}
    {%- if execute -%}
        {%- do adapter.dispatch('prepare_incremental_state', 'attune')() -%}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__prepare_incremental_state() -%}
    {%- do run_query('create schema if not exists incremental_state') -%}
{%- endmacro %}

{% macro spark__prepare_incremental_state() -%}
{%- endmacro %}
