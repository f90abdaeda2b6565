{% macro end_of_time() -%}
    {#- Stands for no end where times are compared: engines join by comparisons, but not by `or`. -#}
    cast('9999-12-31 00:00:00' as timestamp)
{%- endmacro %}
