{#- The rows that moments add up: each change of a unit's value, capped, beside its covariate, and
    shifted by the metric's means so that variances keep their digits. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

unit_days as (
    select * from {{ ref('int_experiment_unit_days') }}
    where {{ is_touched('experiment_name') }}
),

caps as (
    select * from {{ ref('int_experiment_caps') }}
),

covariates as (
    select * from {{ ref('int_experiment_covariates') }}
),

arms as (
    select * from {{ ref('int_experiment_arms') }}
),

capped as (
    select
        unit_days.experiment_name,
        unit_days.metric_name,
        unit_days.kind,
        unit_days.unit_id,
        unit_days.variant,
        unit_days.as_of_date,
        unit_days.is_latest,
        case
            when unit_days.numerator > caps.numerator_cap then caps.numerator_cap
            else unit_days.numerator
        end as raw_numerator,
        case
            when unit_days.denominator > caps.denominator_cap then caps.denominator_cap
            else unit_days.denominator
        end as raw_denominator,
        covariates.numerator as raw_covariate_numerator,
        covariates.denominator as raw_covariate_denominator,
        coalesce(covariates.has_history, false) as has_history
    from unit_days
    left join caps
        on
            unit_days.experiment_name = caps.experiment_name
            and unit_days.metric_name = caps.metric_name
    left join covariates
        on
            unit_days.experiment_name = covariates.experiment_name
            and unit_days.metric_name = covariates.metric_name
            and unit_days.unit_id = covariates.unit_id
),

shifts as (
    select
        experiment_name,
        metric_name
        {%- for part in moment_parts() %},
        avg(raw_{{ part }}) as {{ part }}_shift
        {%- endfor %}
    from capped
    where is_latest
    group by experiment_name, metric_name
),

arm_shifts as (
    select
        arms.arm_key,
        arms.experiment_name,
        arms.metric_name,
        arms.variant
        {%- for part in moment_parts() %},
        shifts.{{ part }}_shift
        {%- endfor %}
    from arms
    inner join shifts
        on
            arms.experiment_name = shifts.experiment_name
            and arms.metric_name = shifts.metric_name
)

select
    capped.*,
    arm_shifts.arm_key
    {%- for part in moment_parts() %},
    capped.raw_{{ part }} - arm_shifts.{{ part }}_shift as {{ part }}
    {%- endfor %}
from capped
inner join arm_shifts
    on
        capped.experiment_name = arm_shifts.experiment_name
        and capped.metric_name = arm_shifts.metric_name
        and capped.variant = arm_shifts.variant
