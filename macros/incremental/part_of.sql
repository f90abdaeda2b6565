{% macro part_of(date, key) -%}
    {#- The share of a date that the key falls into, such as 2026-03-02/7f. -#}
    concat(cast({{ date }} as string), '/', {{ bucket_of(key) }})
{%- endmacro %}
