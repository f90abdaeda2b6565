{% macro declared_as_of() -%}
    {#- The declared point in time as a timestamp literal, or an empty text for the newest load. -#}
    {%- if var('as_of') -%}
        timestamp '{{ var("as_of") }}'
    {%- endif -%}
{%- endmacro %}
