{# The columns that student_t_log_tail_steps adds, for the last CTE of a chain to drop. #}
{% macro student_t_log_tail_columns(name) -%}
    {{ name }}_{{ [
        'u', 'x', 'y', 'w', 'g', 'q', 'is_far', 'l', 'k', 'c', 'z', 'h', 'f20', 's20', 'f10', 's10',
        'f0', 's0', 'tail', 'log_tail', 'hazard',
    ] | join(', ' ~ name ~ '_') }}
{%- endmacro %}
