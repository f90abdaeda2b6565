{# The columns that incomplete_beta_steps reads and adds, for the last CTE of a chain to drop. #}
{% macro incomplete_beta_columns(name) -%}
    {%- for suffix in ['x', 'y', 'log_x', 'log_y', 'd', 'da', 'db', 'bend', 'g', 's', 'h', 'p', 'v',
        'w', 'q', 'side', 'density', 'lower'] -%}
        {{ name }}_{{ suffix }},{{ ' ' }}
    {%- endfor -%}
    {%- for node in range(20) -%}
        {{ name }}_e{{ loop.index }}, {{ name }}_o{{ loop.index }},{{ ' ' }}
    {%- endfor -%}
    {{ name }}_upper
{%- endmacro %}
