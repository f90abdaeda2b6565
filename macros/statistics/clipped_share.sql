{# A probability kept away from 0 and 1 by 1e-6, so that its logarithm stays finite. #}
{% macro clipped_share(expression) -%}
    least(greatest({{ expression }}, 1e-6), 9.99999e-1)
{%- endmacro %}
