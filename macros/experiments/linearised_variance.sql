{#- Variance of numerator - value x denominator: of a ratio's units by the delta method (Deng, Knoblich
    and Lu 2018), and of a mean's, whose denominators are 1. Sums of squares and products give the sum
    of squares. -#}
{% macro linearised_variance(value, numerator_variance, covariance, denominator_variance) -%}
    ({{ numerator_variance }} - 2e0 * {{ value }} * {{ covariance }}
    + {{ value }} * {{ value }} * {{ denominator_variance }})
{%- endmacro %}
