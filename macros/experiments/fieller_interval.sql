{% macro fieller_interval(
    relation, effect, effect_variance, baseline, baseline_variance, covariance, critical_value,
    output, name
) -%}
{{ name }}_signed as (
    select
        {{ relation }}.*,
        {{ effect }} / nullif(abs({{ baseline }}), 0e0) as {{ output }}_ratio,
        case when {{ baseline }} < 0e0 then -({{ covariance }}) else {{ covariance }} end
            as {{ output }}_signed_covariance,
        {{ critical_value }} * {{ critical_value }} * {{ baseline_variance }}
        / nullif({{ baseline }} * {{ baseline }}, 0e0) as {{ output }}_g
    from {{ relation }}
),

-- the set solves (effect - ratio x baseline)^2 <= critical^2 x variance of the left side
{{ name }}_centred as (
    select
        *,
        {{ output }}_ratio - {{ critical_value }} * {{ critical_value }}
        * {{ output }}_signed_covariance / nullif({{ baseline }} * {{ baseline }}, 0e0)
            as {{ output }}_centre,
        {{ linearised_variance(
            output ~ '_ratio', effect_variance, output ~ '_signed_covariance', baseline_variance
        ) }}
        - {{ critical_value }} * {{ critical_value }} / nullif({{ baseline }} * {{ baseline }}, 0e0)
        * (
            {{ effect_variance }} * {{ baseline_variance }}
            - {{ output }}_signed_covariance * {{ output }}_signed_covariance
        ) as {{ output }}_discriminant
    from {{ name }}_signed
),

{{ name }}_spread as (
    select
        *,
        {{ critical_value }} / nullif(abs({{ baseline }}), 0e0)
        * sqrt(case when {{ output }}_discriminant > 0e0 then {{ output }}_discriminant else 0e0 end)
            as {{ output }}_spread
    from {{ name }}_centred
),

{{ name }} as (
    select
        {{ relation_without_columns(
            name ~ '_spread',
            [
                output ~ '_ratio', output ~ '_signed_covariance', output ~ '_centre',
                output ~ '_discriminant', output ~ '_spread'
            ] | join(', ')
        ) }},
        case
            when {{ output }}_g < 1e0
                then ({{ output }}_centre - {{ output }}_spread) / (1e0 - {{ output }}_g)
        end as {{ output }}_lower,
        case
            when {{ output }}_g < 1e0
                then ({{ output }}_centre + {{ output }}_spread) / (1e0 - {{ output }}_g)
        end as {{ output }}_upper
    from {{ name }}_spread
)
{%- endmacro %}
