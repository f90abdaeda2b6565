{#- Sample covariance (n - 1) of two parts of moments whose columns begin with the prefix. -#}
{% macro sample_covariance(prefix, part, other) -%}
    {%- set parts = moment_parts() -%}
    {%- if parts.index(part) > parts.index(other) -%}
        {%- set part, other = other, part -%}
    {%- endif -%}
    ({{ prefix }}{{ part }}_{{ other }}_sum
    - {{ prefix }}{{ part }}_sum * {{ prefix }}{{ other }}_sum / nullif({{ prefix }}units, 0))
    / nullif({{ prefix }}units - 1e0, 0e0)
{%- endmacro %}
