{% macro sum_of_checksums(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 0))) as string)
{%- endmacro %}
