{% macro canonical_event_name(event_aliases, expression) -%}
    {%- if event_aliases -%}
        case {{ expression }}
            {%- for name, aliases in event_aliases.items() %}
                {%- for alias in aliases %}
                    when '{{ alias }}' then '{{ name }}'
                {%- endfor %}
            {%- endfor %}
            else {{ expression }}
        end
    {%- else -%}
        {{ expression }}
    {%- endif -%}
{%- endmacro %}
