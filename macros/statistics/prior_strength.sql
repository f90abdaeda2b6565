{# Signals that a prior counts for, from the correlation within a group: 1 / correlation - 1, between
   the declared floor and cap; the cap where the correlation is null or not positive. #}
{% macro prior_strength(correlation) -%}
    case
        when {{ correlation }} > 0e0
            then least(
                greatest(
                    (1e0 - {{ correlation }}) / {{ correlation }}, {{ var('prior_strength_floor') }}
                ),
                {{ var('prior_strength_cap') }}
            )
        else {{ var('prior_strength_cap') }}
    end
{%- endmacro %}
