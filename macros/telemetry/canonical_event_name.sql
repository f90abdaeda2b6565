{% macro canonical_event_name(event_aliases, expression) -%}
    {#- What holds only with certain values comes before what holds without. -#}
    {%- set conditional, plain, names = [], [], [] -%}
    {%- for canonical_name, aliases in event_aliases.items() -%}
        {%- for alias in aliases -%}
            {%- set tests = [expression ~ " = '" ~ alias.name ~ "'"] -%}
            {%- for key, value in alias.where_values -%}
                {%- do tests.append("attributes['" ~ key ~ "'] = '" ~ value ~ "'") -%}
            {%- endfor -%}
            {%- set branch = 'when ' ~ tests | join(' and ') ~ " then '" ~ canonical_name ~ "'" -%}
            {%- do (conditional if alias.where_values else plain).append(branch) -%}
            {%- do names.append(alias.name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if names -%}
        case
            when {{ expression }} not in ('{{ names | unique | join("', '") }}') then {{ expression }}
            {%- for branch in conditional + plain %}
                {{ branch }}
            {%- endfor %}
            else {{ expression }}
        end
    {%- else -%}
        {{ expression }}
    {%- endif -%}
{%- endmacro %}
