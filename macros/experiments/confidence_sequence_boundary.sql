{#- Standard errors between the estimate and the ends of an asymptotic confidence sequence
    (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024). -#}
{% macro confidence_sequence_boundary(mixture, alpha) -%}
    sqrt(
        2e0 * ({{ mixture }} + 1e0) / {{ mixture }}
        * (ln({{ mixture }} + 1e0) / 2e0 - ln({{ alpha }}))
    )
{%- endmacro %}
