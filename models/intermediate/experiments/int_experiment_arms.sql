{#- One short text names an arm of a metric where millions of rows are grouped or joined: it stays the
    same when others are declared, and engines add up by one text faster than by four. -#}
with

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
)

select
    concat(
        experiment_metrics.experiment_name, '|', experiment_metrics.metric_name, '|', variants.variant
    ) as arm_key,
    experiment_metrics.experiment_name,
    experiment_metrics.metric_name,
    metrics.kind,
    variants.variant
from experiment_metrics
inner join variants
    on experiment_metrics.experiment_name = variants.experiment_name
inner join metrics
    on experiment_metrics.metric_name = metrics.metric_name
