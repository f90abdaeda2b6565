{#- Why a judged estimate has no always-valid interval of its relative effect, where it has none. -#}
{% macro sequential_missing_reason(relation, units_minimum) -%}
    case
        when coalesce({{ relation }}.status, '') != 'ok' then null
        when {{ relation }}.log_e_value is null and coalesce({{ relation }}.tuning_units, 0e0) = 0e0
            then 'no_tuning_sample'
        when
            least({{ relation }}.control_units, {{ relation }}.treatment_units)
            < {{ units_minimum }}
            then 'too_few_units'
        when {{ relation }}.log_e_value is null then 'sparse_denominator'
        when {{ relation }}.baseline = 0e0 then 'zero_baseline'
        when {{ relation }}.sequential_g >= 1e0 then 'weak_denominator'
    end
{%- endmacro %}
