{% macro attribute(aliases, name, data_type='string') -%}
    {#- One attribute under its canonical name or, in the order declared, one of its aliases. -#}
    {%- set names = [name] + aliases.get(name, []) -%}
    {%- set lookups = [] -%}
    {%- for each in names -%}
        {%- do lookups.append("nullif(attributes['" ~ each ~ "'], '')") -%}
    {%- endfor -%}
    {%- set text = lookups[0] if lookups | length == 1 else 'coalesce(' ~ lookups | join(', ') ~ ')' -%}
    {{ safe_cast_text(text, data_type) }}
{%- endmacro %}
