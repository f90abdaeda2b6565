{% macro decimal_text(expression, digits) -%}
    coalesce(cast(cast({{ expression }} as decimal(18, {{ digits }})) as string), 'unknown')
{%- endmacro %}
