{% macro capped(value, cap) -%}
    case when {{ value }} > {{ cap }} then {{ cap }} else {{ value }} end
{%- endmacro %}
