{% macro record_versions() -%}
    {#- Post-hook, in the model's own transaction: what each key now holds. -#}
    {{ return(adapter.dispatch('record_versions', 'attune')() if execute else '') }}
{%- endmacro %}

{% macro duckdb__record_versions() -%}
    create or replace table {{ incremental_state_relation() }} as
    {{ wanted_versions() }}
{%- endmacro %}

{% macro spark__record_versions() -%}
{%- endmacro %}
