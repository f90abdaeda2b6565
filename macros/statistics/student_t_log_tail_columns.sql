{# The columns that student_t_log_tail_steps adds, for the last CTE of a chain to drop. #}
{% macro student_t_log_tail_columns(name) -%}
    {%- for suffix in ['u', 'x', 'y', 'w', 'g', 'q', 'l', 'k', 'c', 'is_far', 'h'] -%}
        {{ name }}_{{ suffix }},
    {%- endfor -%}
    {%- for level in range(31) -%}
        {{ name }}_s{{ level }}, {{ name }}_f{{ level }},
    {%- endfor -%}
    {{ name }}_tail, {{ name }}_log_tail, {{ name }}_hazard
{%- endmacro %}
