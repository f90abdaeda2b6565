{# The columns that student_t_log_tail_steps adds, for the last CTE of a chain to drop. #}
{% macro student_t_log_tail_columns(name) -%}
    {{ name }}_{{ [
        'x', 'y', 'q', 'l', 'k', 'is_far', 'c', 'z', 'h', 'f15', 's15', 'f0', 's0', 'tail',
        'log_tail', 'hazard',
    ] | join(', ' ~ name ~ '_') }}
{%- endmacro %}
