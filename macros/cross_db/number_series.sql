{% macro number_series(last_number) -%}
    {{ return(adapter.dispatch('number_series', 'attune')(last_number)) }}
{%- endmacro %}

{% macro duckdb__number_series(last_number) -%}
    unnest(range(cast({{ last_number }} as bigint) + 1))
{%- endmacro %}

{% macro spark__number_series(last_number) -%}
    explode(sequence(cast(0 as bigint), cast({{ last_number }} as bigint)))
{%- endmacro %}
