{% macro safe_cast_text(expression, data_type) -%}
    {#- A double that is not a number counts as missing; a value that does not fit gives null. -#}
    {%- if data_type == 'double' -%}
        case
            when lower({{ expression }}) in ('nan', 'infinity', '-infinity', 'inf', '-inf') then null
            else {{ try_cast_text(expression, 'double') }}
        end
    {%- elif data_type == 'string' -%}
        {{ expression }}
    {%- else -%}
        {{ try_cast_text(expression, data_type) }}
    {%- endif -%}
{%- endmacro %}
