{% macro forget_touched() -%}
    {#- Post-hook: keys may be users, who may be erased. -#}
    {{ return(adapter.dispatch('forget_touched', 'attune')() if execute else '') }}
{%- endmacro %}

{% macro duckdb__forget_touched() -%}
    drop table if exists {{ touched_relation() }}
{%- endmacro %}

{% macro spark__forget_touched() -%}
{%- endmacro %}
