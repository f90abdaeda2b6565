{#- What a row of the scorecard and of its history says of a judged estimate. -#}
{% macro experiment_result_columns(relation, units_minimum) -%}
    {{ relation }}.control_value,
    {{ relation }}.treatment_value,
    {{ relation }}.absolute_effect,
    {{ relation }}.absolute_std_error,
    {{ relation }}.absolute_ci_lower,
    {{ relation }}.absolute_ci_upper,
    {{ relation }}.relative_effect,
    {{ relation }}.relative_ci_lower,
    {{ relation }}.relative_ci_upper,
    {{ relation }}.degrees_of_freedom,
    {{ relation }}.p_value,
    {{ relation }}.p_value_adjusted,
    {{ relation }}.multiplicity_method,
    {{ relation }}.family_size,
    {{ relation }}.adjusted_ci_lower,
    {{ relation }}.adjusted_ci_upper,
    {{ relation }}.sequential_p_value,
    {{ relation }}.sequential_improvement_p_value,
    {{ relation }}.sequential_harm_p_value,
    {{ relation }}.sequential_ci_lower,
    {{ relation }}.sequential_ci_upper,
    -- a double holds e-values up to 1e304; the logarithm has no such end
    case
        when {{ relation }}.log_e_value is not null then exp(least({{ relation }}.log_e_value, 7e2))
    end as e_value,
    {{ relation }}.log_e_value,
    {{ relation }}.non_inferiority_p_value,
    {{ relation }}.posterior_mean,
    {{ relation }}.posterior_std_dev,
    {{ relation }}.probability_of_improvement,
    {{ relation }}.expected_loss,
    {{ relation }}.variance_removed,
    {{ relation }}.theta,
    {{ relative_missing_reason(relation) }} as relative_effect_missing_reason,
    {{ sequential_missing_reason(relation, units_minimum) }} as sequential_missing_reason
{%- endmacro %}
