{% macro attribute(aliases, name, data_type='string') -%}
    {#- One attribute under its canonical name or, in the order declared, one of its aliases; the rows
        have an event_name, which says whether an alias of some events only holds. -#}
    {%- set lookups = ["nullif(attributes['" ~ name ~ "'], '')"] -%}
    {%- for alias in aliases.get(name, []) -%}
        {%- set lookup = "nullif(attributes['" ~ alias.name ~ "'], '')" -%}
        {%- if alias.on_events -%}
            {%- set lookup = "case when event_name in ('" ~ alias.on_events | join("', '")
                ~ "') then " ~ lookup ~ " end" -%}
        {%- endif -%}
        {%- do lookups.append(lookup) -%}
    {%- endfor -%}
    {%- set text = lookups[0] if lookups | length == 1 else 'coalesce(' ~ lookups | join(', ') ~ ')' -%}
    {{ safe_cast_text(text, data_type) }}
{%- endmacro %}
