{#- A number with its sign, for terms that add up. -#}
{% macro signed_text(expression, digits) -%}
    concat(case when {{ expression }} >= 0e0 then '+' else '' end, {{ decimal_text(expression, digits) }})
{%- endmacro %}
