{% macro bucket_of(key) -%}
    {#- One of 256 shares of all keys, as two hex digits. -#}
    substr(md5({{ key }}), 1, 2)
{%- endmacro %}
