{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where not is_final and {{ is_touched('experiment_name') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
)

select
    judged.experiment_name,
    judged.metric_name,
    judged.metric_role,
    experiments.control_variant,
    judged.treatment_variant,
    judged.segment_name,
    judged.segment_value,
    judged.adjustment,
    judged.as_of_date,
    judged.control_units,
    judged.treatment_units,
    {{ experiment_result_columns('judged') }},
    judged.is_deciding,
    judged.inference,
    judged.alpha,
    judged.better,
    judged.status
from judged
inner join experiments
    on judged.experiment_name = experiments.experiment_name
