{#- What moments are taken of, per unit, in the order of the columns. -#}
{% macro moment_parts() -%}
    {{ return(['numerator', 'denominator', 'covariate_numerator', 'covariate_denominator']) }}
{%- endmacro %}
