{% macro add_time(timestamp, amount, unit) -%}
    {{ return(adapter.dispatch('add_time', 'attune')(timestamp, amount, unit)) }}
{%- endmacro %}

{% macro duckdb__add_time(timestamp, amount, unit) -%}
    ({{ timestamp }} + to_{{ unit }}s(cast({{ amount }} as integer)))
{%- endmacro %}

{% macro spark__add_time(timestamp, amount, unit) -%}
    timestampadd({{ unit }}, cast({{ amount }} as int), {{ timestamp }})
{%- endmacro %}
