{% macro percent_text(share) -%}
    concat(
        case when {{ share }} >= 0e0 then '+' else '' end,
        -- a decimal has no room beyond that
        {{ decimal_text('case when abs(' ~ share ~ ') < 1e12 then 1e2 * (' ~ share ~ ') end', 1) }},
        '%'
    )
{%- endmacro %}
