-- Fails if a declared metric has no overall result for a treatment; the mirror is
-- results_are_of_declared_metrics.
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

results as (
    select * from {{ ref('rpt_experiment_results') }}
    where segment_name = 'all' and adjustment = 'none'
)

select
    experiments.experiment_name,
    experiment_metrics.metric_name,
    variants.variant
from experiments
inner join experiment_metrics
    on experiments.experiment_name = experiment_metrics.experiment_name
inner join variants
    on
        experiments.experiment_name = variants.experiment_name
        and experiments.control_variant != variants.variant
left join results
    on
        experiments.experiment_name = results.experiment_name
        and experiment_metrics.metric_name = results.metric_name
        and variants.variant = results.treatment_variant
where results.experiment_name is null
