{% macro try_cast_text(expression, data_type) -%}
    {#- What a text says as a bigint, double, boolean, date or timestamp; null where it says none. -#}
    {{ return(adapter.dispatch('try_cast_text', 'attune')(expression, data_type)) }}
{%- endmacro %}

{% macro default__try_cast_text(expression, data_type) -%}
    try_cast({{ expression }} as {{ data_type }})
{%- endmacro %}

{% macro spark__try_cast_text(expression, data_type) -%}
    {#- By itself Spark reads no whole number from 12.0 or 1e3, and takes 12d and 12f for doubles. -#}
    {%- if data_type == 'bigint' -%}
        try_cast(round(try_cast({{ expression }} as decimal(38, 6))) as bigint)
    {%- elif data_type == 'double' -%}
        case
            when not regexp_like(lower({{ expression }}), '[0-9.] *[df] *$')
                then try_cast({{ expression }} as double)
        end
    {%- else -%}
        {{ default__try_cast_text(expression, data_type) }}
    {%- endif -%}
{%- endmacro %}
