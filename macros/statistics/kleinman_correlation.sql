{# Correlation of signals within a group (Kleinman 1973, weighted moments), from sums over groups:
   `weighted_squares` is the sum of successes squared over trials. Null where there are fewer than
   two groups or nothing varies. The arguments are repeated: pass columns. #}
{% macro kleinman_correlation(groups, trials, successes, trials_squares, weighted_squares) -%}
    {%- set mean = '(' ~ successes ~ ' / nullif(' ~ trials ~ ', 0e0))' -%}
    {%- set within = '(' ~ mean ~ ' * (1e0 - ' ~ mean ~ '))' -%}
    (
        ({{ weighted_squares }} - {{ successes }} * {{ mean }} - {{ within }} * ({{ groups }} - 1))
        / nullif(
            {{ within }} * (
                {{ trials }} - {{ trials_squares }} / nullif({{ trials }}, 0e0) - ({{ groups }} - 1)
            ),
            0e0
        )
    )
{%- endmacro %}
