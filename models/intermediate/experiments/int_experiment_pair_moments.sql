{#- Moments of the units that are in two concurrent experiments, by the variants of both. -#}
with

unit_values as (
    select * from {{ ref('int_experiment_unit_values') }}
    where is_latest
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
    where role in ('success', 'guardrail')
),

pairs as (
    select
        experiments.experiment_name,
        others.experiment_name as other_experiment_name,
        others.control_variant as other_control_variant
    from experiments
    inner join experiments as others
        on
            experiments.unit = others.unit
            and experiments.experiment_name != others.experiment_name
            and coalesce(experiments.started_at < others.ended_at, true)
            and coalesce(others.started_at < experiments.ended_at, true)
),

shared as (
    select
        unit_values.*,
        pairs.other_experiment_name,
        pairs.other_control_variant,
        others.variant as other_variant
    from unit_values
    inner join experiment_metrics
        on
            unit_values.experiment_name = experiment_metrics.experiment_name
            and unit_values.metric_name = experiment_metrics.metric_name
    inner join pairs
        on unit_values.experiment_name = pairs.experiment_name
    inner join units as others
        on
            pairs.other_experiment_name = others.experiment_name
            and unit_values.unit_id = others.unit_id
)

select
    experiment_name,
    metric_name,
    kind,
    variant,
    other_experiment_name,
    other_control_variant,
    other_variant,
    {{ moment_sums() }}
from shared
group by
    experiment_name,
    metric_name,
    kind,
    variant,
    other_experiment_name,
    other_control_variant,
    other_variant
