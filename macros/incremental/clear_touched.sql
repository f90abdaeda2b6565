{% macro clear_touched() -%}
    {#- Pre-hook: removes everything that a touched key holds, also when nothing replaces it. -#}
    {{ return(adapter.dispatch('clear_touched', 'attune')() if execute else '') }}
{%- endmacro %}

{% macro duckdb__clear_touched() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where {{ is_touched(model.config.meta.overwrite.key) }}
    {%- endif -%}
{%- endmacro %}

{% macro spark__clear_touched() -%}
{%- endmacro %}
