{#- Units n of all arms give the effect a variance of spread / n; the test has its power where the
    effect is noncentrality x sqrt(spread / n). A guardrail compares with its margin times a control
    that is estimated too, which adds to its spread. -#}
with

designs as (
    select * from {{ ref('int_experiment_designs') }}
),

baselines as (
    select * from {{ ref('int_experiment_baselines') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

counts as (
    select
        experiment_name,
        count(*) as units
    from units
    group by experiment_name
),

planned as (
    {%- for adjustment in ['none', 'cuped'] %}
    select
        designs.*,
        '{{ adjustment }}' as adjustment,
        baselines.baseline_source,
        baselines.baseline_units,
        baselines.baseline_value,
        baselines.baseline_variance,
        baselines.{{ 'baseline' if adjustment == 'none' else 'cuped' }}_variance as unit_variance,
        baselines.units_per_day * case
            when baselines.baseline_source = 'control_so_far' then 1e0
            else 1e0 - coalesce(designs.holdout_share, 0e0)
        end as units_per_day,
        coalesce(
            nullif(designs.planned_units, 0), counts.units, baselines.baseline_units
        ) as evaluated_units,
        case
            when designs.planned_units > 0 then 'planned_units'
            when counts.units is not null then 'units_so_far'
            when baselines.baseline_units is not null then 'history'
        end as evaluated_units_source,
        case
            when designs.kind is null then 'metric_not_for_scorecards'
            when designs.critical_value is null then 'no_bounds'
            when baselines.experiment_name is null then 'no_history'
            when baselines.baseline_units < 2 then 'one_unit'
            when baselines.baseline_value is null then 'zero_denominator'
            when baselines.baseline_variance is null then 'too_few_events'
            when not baselines.baseline_variance > 0e0 then 'zero_variance'
            {%- if adjustment == 'cuped' %}
            when not baselines.has_covariate then 'no_covariate'
            when baselines.cuped_variance is null then 'no_history'
            when not baselines.cuped_variance > 0e0 then 'zero_variance'
            {%- endif %}
            when baselines.baseline_value = 0e0 then 'zero_baseline'
            when not coalesce(designs.minimum_effect, 0e0) > 0e0 then 'no_minimum_effect'
            else 'ok'
        end as status
    from designs
    left join baselines
        on
            designs.experiment_name = baselines.experiment_name
            and designs.metric_name = baselines.metric_name
    left join counts
        on designs.experiment_name = counts.experiment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- variance of effect + margin x control, times n: plain + margin x slope + margin^2 x bend
spreads as (
    select
        planned.*,
        unit_variance / treatment_share + unit_variance / control_share as plain_spread,
        case
            when metric_role != 'guardrail' then 0e0
            else case when (better = 'down') = (baseline_value < 0e0) then -2e0 else 2e0 end
                * unit_variance / control_share
        end as spread_slope,
        case when metric_role != 'guardrail' then 0e0 else baseline_variance / control_share end
            as spread_bend,
        status in ('ok', 'no_minimum_effect', 'zero_baseline') as is_computable
    from planned
),

demands as (
    select
        spreads.*,
        case
            when status = 'ok'
                then (
                    plain_spread + minimum_effect * spread_slope
                    + minimum_effect * minimum_effect * spread_bend
                ) / (minimum_effect * minimum_effect * baseline_value * baseline_value)
        end as units_per_noncentrality,
        power_quantile + critical_value as noncentrality_0
    from spreads
),

{#- the degrees of freedom depend on the units that are asked for: it settles at once #}
{%- for step in [1, 2, 3] %}
{%- set before = 'noncentrality_' ~ (step - 1) %}

freedoms_{{ step }} as (
    select
        *,
        greatest(
            units_per_noncentrality * {{ before }} * {{ before }}
            * (control_share + treatment_share) - 2e0,
            4e0
        ) as freedom_{{ step }}
    from {{ 'demands' if step == 1 else 'noncentralities_' ~ (step - 1) }}
),

noncentralities_{{ step }} as (
    select
        *,
        -- a confidence sequence has no degrees of freedom
        case
            when inference = 'sequential' then {{ before }}
            else {{ t_noncentrality('critical_value', 'power_quantile', 'freedom_' ~ step) }}
        end as noncentrality_{{ step }}
    from freedoms_{{ step }}
),
{%- endfor %}

evaluated as (
    select
        *,
        -- more than a bigint holds is as good as endless
        case
            when units_per_noncentrality * noncentrality_3 * noncentrality_3 < 9e15
                then ceil(units_per_noncentrality * noncentrality_3 * noncentrality_3)
            when units_per_noncentrality is not null then 9e15
        end as required_units,
        greatest(evaluated_units * (control_share + treatment_share) - 2e0, 4e0) as freedom
    from noncentralities_3
),

detections as (
    select
        *,
        case
            when inference = 'sequential' then noncentrality_0
            else {{ t_noncentrality('critical_value', 'power_quantile', 'freedom') }}
        end as noncentrality
    from evaluated
),

scaled as (
    select
        *,
        noncentrality * noncentrality / nullif(cast(evaluated_units as double), 0e0) as scale
    from detections
),

detectable as (
    select
        *,
        -- effect^2 = scale x (plain + margin x slope + margin^2 x bend), effect = margin x |control|
        case
            when not is_computable then null
            when metric_role != 'guardrail' then sqrt(scale * plain_spread)
            when baseline_value * baseline_value > scale * spread_bend
                then abs(baseline_value) * (
                    scale * spread_slope + sqrt(
                        scale * scale * spread_slope * spread_slope
                        + 4e0 * (baseline_value * baseline_value - scale * spread_bend)
                        * scale * plain_spread
                    )
                ) / (2e0 * (baseline_value * baseline_value - scale * spread_bend))
        end as absolute_detectable_effect
    from scaled
)

select
    experiment_name,
    metric_name,
    metric_role,
    treatment_variant,
    adjustment,
    inference,
    baseline_source,
    cast(baseline_units as bigint) as baseline_units,
    baseline_value,
    unit_variance,
    case when adjustment = 'cuped' then 1e0 - unit_variance / nullif(baseline_variance, 0e0) end
        as variance_removed,
    minimum_effect,
    cast(test_sides as bigint) as test_sides,
    test_alpha,
    test_power,
    critical_value,
    cast(required_units as bigint) as required_units,
    units_per_day,
    cast(
        ceil(required_units / nullif(units_per_day, 0e0))
        + case when window_days is null then 0e0 else delay_days + window_days end as bigint
    ) as required_days,
    cast(evaluated_units as bigint) as evaluated_units,
    evaluated_units_source,
    absolute_detectable_effect,
    absolute_detectable_effect / nullif(abs(baseline_value), 0e0) as relative_detectable_effect,
    required_units <= evaluated_units as has_enough_units,
    status
from detectable
