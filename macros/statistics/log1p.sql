{# ln(1 + x) to full precision for a small x: what rounding 1 + x loses, the quotient gives back
   (Kahan; Goldberg 1991, theorem 4). The argument is repeated: pass a column. #}
{% macro log1p(x) -%}
    case
        when 1e0 + {{ x }} = 1e0 then {{ x }}
        when {{ x }} > -1e0
            then ln(1e0 + case when {{ x }} > -1e0 then {{ x }} end)
                * ({{ x }} / nullif((1e0 + {{ x }}) - 1e0, 0e0))
    end
{%- endmacro %}
