{# The columns that incomplete_beta_steps reads and adds, for the last CTE of a chain to drop. #}
{% macro incomplete_beta_columns(name) -%}
    {{ name }}_{{ [
        'x', 'y', 'log_x', 'log_y', 'g', 's', 'is_above', 'h', 'p', 'v', 'w', 'side', 'density',
        'lower', 'upper',
    ] | join(', ' ~ name ~ '_') }}
{%- endmacro %}
