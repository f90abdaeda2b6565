{# c0 + x * (c1 + x * (c2 + ...)) by Horner's rule; coefficients as text, in rising order. #}
{% macro polynomial(x, coefficients) -%}
    {%- for coefficient in coefficients[:-1] -%}
        ({{ coefficient }} + {{ x }} *{{ ' ' }}
    {%- endfor -%}
    {{ coefficients[-1] }}{{ ')' * ((coefficients | length) - 1) }}
{%- endmacro %}
