{#- Why a judged estimate has no interval of its relative effect, where it has none. -#}
{% macro relative_missing_reason(relation) -%}
    case
        when coalesce({{ relation }}.status, '') != 'ok' then null
        when {{ relation }}.baseline = 0e0 then 'zero_baseline'
        when {{ relation }}.relative_g >= 1e0 then 'weak_denominator'
    end
{%- endmacro %}
