{# Second derivative of log gamma at x > 0; error within 1e-4 of the value. Shifted up by 4, then
   three terms of the asymptotic series (Abramowitz and Stegun, 1964, 6.4.12). #}
{% macro trigamma(x) -%}
    (
        1e0 / ({{ x }} + 4e0) + 5e-1 / (({{ x }} + 4e0) * ({{ x }} + 4e0))
        + 1.6666666666666667e-1 / (({{ x }} + 4e0) * ({{ x }} + 4e0) * ({{ x }} + 4e0))
        + 1e0 / (({{ x }}) * ({{ x }})) + 1e0 / (({{ x }} + 1e0) * ({{ x }} + 1e0))
        + 1e0 / (({{ x }} + 2e0) * ({{ x }} + 2e0)) + 1e0 / (({{ x }} + 3e0) * ({{ x }} + 3e0))
    )
{%- endmacro %}
