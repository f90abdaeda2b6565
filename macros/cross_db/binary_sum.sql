{#- Adds doubles the same in any order, as exact_sum does, where there are very many small groups. -#}
{% macro binary_sum(expression) -%}
    {{ return(adapter.dispatch('binary_sum', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__binary_sum(expression) -%}
    {#- In steps of 2 to the -60: DuckDB turns wide decimals into doubles by a long division, which
        costs six times what adding them does. -#}
    (
        cast(sum(cast(({{ expression }}) * {{ 2 ** 60 }}e0 as hugeint)) as double)
        / {{ 2 ** 60 }}e0
    )
{%- endmacro %}

{% macro spark__binary_sum(expression) -%}
    {{ exact_sum(expression) }}
{%- endmacro %}
