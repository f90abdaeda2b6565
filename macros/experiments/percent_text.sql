{% macro percent_text(share, signed=true) -%}
    concat(
        {% if signed %}case when {{ share }} >= 0e0 then '+' else '' end,{% endif %}
        -- beyond that a decimal has no room
        {{ decimal_text('1e2 * least(greatest(' ~ share ~ ', -1e12), 1e12)', 1) }},
        '%'
    )
{%- endmacro %}
