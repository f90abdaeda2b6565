-- Fails if a declared experiment lacks one of the health checks over all units.
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

health as (
    select * from {{ ref('rpt_experiment_health') }}
    where segment_name = 'all' and segment_value = 'all'
)

select
    experiments.experiment_name,
    count(health.check_name) as checks
from experiments
left join health
    on experiments.experiment_name = health.experiment_name
group by experiments.experiment_name
having count(health.check_name) != 12
