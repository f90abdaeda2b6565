{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'attune')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%}
    (cast({{ later }} as date) - cast({{ earlier }} as date))
{%- endmacro %}

{% macro spark__days_between(earlier, later) -%}
    datediff(cast({{ later }} as date), cast({{ earlier }} as date))
{%- endmacro %}
