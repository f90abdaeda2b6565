{% macro bucket_in(part) -%}
    {#- The bucket of a part; see part_of. -#}
    substr({{ part }}, 12)
{%- endmacro %}
