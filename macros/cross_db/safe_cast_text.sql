{% macro safe_cast_text(expression, data_type) -%}
    {#- A double that is not a number counts as missing; a value that does not fit gives null. -#}
    {%- if data_type == 'double' -%}
        {#- neither infinite, written so or overflown, nor not a number, which sorts above all -#}
        {%- set number = try_cast_text(expression, 'double') -%}
        case when abs({{ number }}) <= 1.7976931348623157e308 then {{ number }} end
    {%- elif data_type == 'string' -%}
        {{ expression }}
    {%- else -%}
        {{ try_cast_text(expression, data_type) }}
    {%- endif -%}
{%- endmacro %}
