{% macro limit_memory() -%}
    {#- What the engine may use, from ATTUNE_MEMORY_LIMIT; without it the engine's own default. -#}
    {{ return(adapter.dispatch('limit_memory', 'attune')()) }}
{%- endmacro %}

{% macro duckdb__limit_memory() -%}
    {%- set limit = env_var('ATTUNE_MEMORY_LIMIT', '') -%}
    {%- if execute and limit -%}
        {%- do run_query("set global memory_limit = '" ~ limit | replace("'", "''") ~ "'") -%}
    {%- endif -%}
{%- endmacro %}

{% macro spark__limit_memory() -%}
{%- endmacro %}
