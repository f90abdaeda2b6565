{#- Mixture of the confidence sequence at the sample that it is tuned to, where its boundary is all but
    the narrowest: an approximation of Lambert's function (Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas 2024). -#}
{% macro confidence_sequence_mixture(alpha) -%}
    (-2e0 * ln({{ alpha }}) + ln(1e0 - 2e0 * ln({{ alpha }})))
{%- endmacro %}
