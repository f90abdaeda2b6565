{% macro percent_text(share) -%}
    concat(
        case when {{ share }} >= 0e0 then '+' else '' end,
        -- beyond that a decimal has no room
        {{ decimal_text('1e2 * least(greatest(' ~ share ~ ', -1e12), 1e12)', 1) }},
        '%'
    )
{%- endmacro %}
