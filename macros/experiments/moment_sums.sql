{#- The select list that adds rows of shifted values up to moments. Parts that do not vary need no
    sums: those in `ones` are 1 for every unit and shifted to 0, others are missing. With `sign`, a
    row whose sign is -1 takes an earlier value of its unit back. -#}
{% macro moment_sums(varying=none, ones=[], sign=none) -%}
    {%- set parts = moment_parts() -%}
    {%- set varying = parts if varying is none else varying -%}
    {%- set units = 'sum(' ~ sign ~ ')' if sign else 'count(*)' -%}
    {%- set signed = sign ~ ' * ' if sign else '' -%}
    cast({{ units }} as bigint) as units,
    {%- if 'covariate_numerator' in varying %}
    cast(sum(case when has_history then 0 else {{ sign or 1 }} end) as bigint)
    {%- else %}
    cast({{ units }} as bigint)
    {%- endif %} as units_without_history
    {%- for part in parts %},
    {%- if part in varying %}
    sum({{ signed }}raw_{{ part }}) as {{ part }}_total,
    sum({{ signed }}{{ part }}) as {{ part }}_sum
    {%- elif part in ones %}
    cast({{ units }} as double) as {{ part }}_total,
    0e0 as {{ part }}_sum
    {%- else %}
    cast(null as double) as {{ part }}_total,
    cast(null as double) as {{ part }}_sum
    {%- endif %}
    {%- for other in parts[loop.index0:] %},
    {%- if part in varying and other in varying %}
    sum({{ signed }}{{ part }} * {{ other }})
    {%- elif part in varying + ones and other in varying + ones %}
    0e0
    {%- else %}
    cast(null as double)
    {%- endif %} as {{ part }}_{{ other }}_sum
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}
