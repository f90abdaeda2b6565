{#- Doubles added in another order differ in their last bits, and a content hash notices. -#}
{% macro exact_sum(expression) -%}
    {{ return(adapter.dispatch('exact_sum', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__exact_sum(expression) -%}
    {#- In steps of 2 to the -60: DuckDB turns wide decimals into doubles by a long division, which
        costs six times what adding them does. -#}
    (
        cast(sum(cast(({{ expression }}) * {{ 2 ** 60 }}e0 as hugeint)) as double)
        / {{ 2 ** 60 }}e0
    )
{%- endmacro %}

{% macro spark__exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 18))) as double)
{%- endmacro %}
