{# Derivative of log gamma at x > 0; error within 1e-6. Shifted up by 4, then three terms of the
   asymptotic series (Abramowitz and Stegun, 1964, 6.3.18). #}
{% macro digamma(x) -%}
    (
        ln({{ x }} + 4e0) - 5e-1 / ({{ x }} + 4e0)
        - 8.333333333333333e-2 / (({{ x }} + 4e0) * ({{ x }} + 4e0))
        - 1e0 / ({{ x }}) - 1e0 / ({{ x }} + 1e0) - 1e0 / ({{ x }} + 2e0) - 1e0 / ({{ x }} + 3e0)
    )
{%- endmacro %}
