{# Signals that a prior counts for, from the correlation within a group: 1 / correlation - 1, between
   floor and cap; the cap where the correlation is null or not positive. #}
{% macro prior_strength(correlation, floor, cap) -%}
    case
        when {{ correlation }} > 0e0
            then least(
                greatest(
                    (1e0 - {{ correlation }}) / {{ correlation }}, {{ floor }}
                ),
                {{ cap }}
            )
        else {{ cap }}
    end
{%- endmacro %}
