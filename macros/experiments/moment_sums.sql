{#- The select list that adds rows of shifted values up to moments; a row with sign -1 takes an
    earlier value of its unit back. -#}
{% macro moment_sums() -%}
    {%- set parts = moment_parts() -%}
    cast(sum(sign) as bigint) as units,
    cast(sum(case when has_history then 0 else sign end) as bigint) as units_without_history
    {%- for part in parts %},
    sum(sign * raw_{{ part }}) as {{ part }}_total,
    sum(sign * {{ part }}) as {{ part }}_sum
    {%- for other in parts[loop.index0:] %},
    sum(sign * {{ part }} * {{ other }}) as {{ part }}_{{ other }}_sum
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}
