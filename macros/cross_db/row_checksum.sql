{% macro row_checksum(expression) -%}
    {{ return(adapter.dispatch('row_checksum', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__row_checksum(expression) -%}
    cast(concat('0x', substr(md5({{ expression }}), 1, 15)) as bigint)
{%- endmacro %}

{% macro spark__row_checksum(expression) -%}
    cast(conv(substr(md5({{ expression }}), 1, 15), 16, 10) as bigint)
{%- endmacro %}
