{% macro hash_share(expression) -%}
    {#- The first 52 bits of an MD5: a double holds each of them. -#}
    {{ return(adapter.dispatch('hash_share', 'attune')(expression)) }}
{%- endmacro %}

{% macro duckdb__hash_share(expression) -%}
    cast(concat('0x', substr(md5({{ expression }}), 1, 13)) as bigint) / 4503599627370496e0
{%- endmacro %}

{% macro spark__hash_share(expression) -%}
    cast(conv(substr(md5({{ expression }}), 1, 13), 16, 10) as bigint) / 4503599627370496e0
{%- endmacro %}
