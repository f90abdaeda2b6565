with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

windows as (
    select * from {{ ref('int_experiment_windows') }}
),

health as (
    select * from {{ ref('rpt_experiment_health') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- no decision waits for a metric that decides nothing
open_windows as (
    select distinct windows.experiment_name
    from windows
    inner join experiment_metrics
        on
            windows.experiment_name = experiment_metrics.experiment_name
            and windows.metric_name = experiment_metrics.metric_name
    where windows.is_open and experiment_metrics.role != 'exploratory'
),

broken as (
    select distinct experiment_name
    from health
    where status = 'fail'
)

select
    experiments.experiment_name,
    experiments.inference,
    coalesce(experiments.ended_at <= as_of.as_of, false) as has_ended,
    coalesce(experiments.ended_at <= as_of.as_of, false)
    and open_windows.experiment_name is null as is_complete,
    broken.experiment_name is not null as has_failed_check
from experiments
cross join as_of
left join open_windows
    on experiments.experiment_name = open_windows.experiment_name
left join broken
    on experiments.experiment_name = broken.experiment_name
