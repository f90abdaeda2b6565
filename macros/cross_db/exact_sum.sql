{#- Doubles added in another order differ in their last bits, and a content hash notices. -#}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 18))) as double)
{%- endmacro %}
