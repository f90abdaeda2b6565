{% macro utc_text(expression) -%}
    {#- concat() skips nulls on one engine and returns null on the other, hence the case. -#}
    case
        when {{ expression }} is not null
            then concat(replace(cast({{ expression }} as string), ' ', 'T'), 'Z')
    end
{%- endmacro %}
