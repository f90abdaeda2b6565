{% macro find_touched() -%}
    {#- Pre-hook: keeps the touched keys while the model is built, so that versions are compared once. -#}
    {{ return(adapter.dispatch('find_touched', 'attune')() if execute else '') }}
{%- endmacro %}

{% macro duckdb__find_touched() -%}
    {%- if is_incremental() -%}
        create or replace table {{ touched_relation() }} as
        {{ touched_keys() }}
    {%- endif -%}
{%- endmacro %}

{% macro spark__find_touched() -%}
{%- endmacro %}
