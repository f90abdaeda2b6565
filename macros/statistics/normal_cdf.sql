{# P(Z <= z) of the standard normal; as exact in the lower tail as normal_tail is in the upper. #}
{% macro normal_cdf(z) -%}
    {{ normal_tail('-(' ~ z ~ ')') }}
{%- endmacro %}
