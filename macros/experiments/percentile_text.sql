{#- A share as what people call it: 0.99 is p99, 0.999 is p99.9. -#}
{% macro percentile_text(share) -%}
    concat(
        'p', trim(trailing '.' from trim(trailing '0' from {{ decimal_text('1e2 * ' ~ share, 4) }}))
    )
{%- endmacro %}
