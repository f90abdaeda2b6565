with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
)

select
    experiments.experiment_name,
    experiments.hypothesis,
    experiments.owner,
    experiments.unit,
    experiments.control_variant,
    experiments.started_at,
    experiments.ended_at,
    case
        when experiments.started_at > as_of.as_of then 'planned'
        when experiments.ended_at <= as_of.as_of then 'ended'
        else 'running'
    end as state,
    experiments.inference,
    experiments.alpha,
    experiments.layer,
    experiments.holdout_share,
    experiments.trigger_event,
    as_of.as_of
from experiments
cross join as_of
