{#- The rows that moments add up: each change of a unit's value, capped, beside its covariate, and
    shifted by the metric's means so that variances keep their digits. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
{%- set outcomes = ['numerator', 'denominator'] %}
with

caps as (
    select * from {{ ref('int_experiment_caps') }}
),

arms as (
    select * from {{ ref('int_experiment_arms') }}
),

-- units are read twice by name: a shared CTE would be copied in whole before they are joined
outcome_shifts as (
    select
        unit_days.experiment_name,
        unit_days.metric_name
        {%- for part in outcomes %},
        avg({{ capped('unit_days.' ~ part, 'caps.' ~ part ~ '_cap') }}) as {{ part }}_shift
        {%- endfor %}
    from {{ ref('int_experiment_unit_days') }} as unit_days
    left join caps
        on
            unit_days.experiment_name = caps.experiment_name
            and unit_days.metric_name = caps.metric_name
    where unit_days.is_latest and {{ is_touched('unit_days.experiment_name') }}
    group by unit_days.experiment_name, unit_days.metric_name
),

covariate_shifts as (
    select
        experiment_name,
        metric_name
        {%- for part in outcomes %},
        avg({{ part }}) as {{ part }}_shift
        {%- endfor %}
    from {{ ref('int_experiment_covariates') }}
    group by experiment_name, metric_name
),

arm_shifts as (
    select
        arms.arm_key,
        arms.experiment_name,
        arms.metric_name,
        arms.variant
        {%- for part in outcomes %},
        outcome_shifts.{{ part }}_shift,
        covariate_shifts.{{ part }}_shift as covariate_{{ part }}_shift
        {%- endfor %}
    from arms
    inner join outcome_shifts
        on
            arms.experiment_name = outcome_shifts.experiment_name
            and arms.metric_name = outcome_shifts.metric_name
    left join covariate_shifts
        on
            arms.experiment_name = covariate_shifts.experiment_name
            and arms.metric_name = covariate_shifts.metric_name
),

capped as (
    select
        unit_days.experiment_name,
        unit_days.metric_name,
        unit_days.kind,
        unit_days.unit_id,
        unit_days.variant,
        unit_days.as_of_date,
        unit_days.is_latest
        {%- for part in outcomes %},
        {{ capped('unit_days.' ~ part, 'caps.' ~ part ~ '_cap') }} as raw_{{ part }}
        {%- endfor %},
        covariates.numerator as raw_covariate_numerator,
        covariates.denominator as raw_covariate_denominator,
        coalesce(covariates.has_history, false) as has_history
    from {{ ref('int_experiment_unit_days') }} as unit_days
    left join caps
        on
            unit_days.experiment_name = caps.experiment_name
            and unit_days.metric_name = caps.metric_name
    left join {{ ref('int_experiment_covariates') }} as covariates
        on
            unit_days.experiment_name = covariates.experiment_name
            and unit_days.metric_name = covariates.metric_name
            and unit_days.unit_id = covariates.unit_id
    where {{ is_touched('unit_days.experiment_name') }}
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
