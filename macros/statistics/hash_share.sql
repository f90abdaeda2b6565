{# A number in [0, 1) that a text always gets, in steps of 2 to the -24, from its MD5 in hexadecimal
   digits: pass a column that holds the MD5. #}
{% macro hash_share(digest) -%}
    (
        {%- for place in range(1, 7) %}
        {{ '+ ' if not loop.first }}(instr('0123456789abcdef', substr({{ digest }}, {{ place }}, 1)) - 1)
        / {{ 16 ** place }}e0
        {%- endfor %}
    )
{%- endmacro %}
