-- Fails if a result is of an experiment, metric or variant that is not declared; the mirror is
-- declared_metrics_have_a_result.
with

results as (
    select * from {{ ref('rpt_experiment_results') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
)

select
    results.experiment_name,
    results.metric_name,
    results.treatment_variant
from results
left join experiment_metrics
    on
        results.experiment_name = experiment_metrics.experiment_name
        and results.metric_name = experiment_metrics.metric_name
left join variants
    on
        results.experiment_name = variants.experiment_name
        and results.treatment_variant = variants.variant
where
    experiment_metrics.metric_name is null
    or variants.variant is null
    or results.treatment_variant = results.control_variant
