{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where not is_final and {{ is_touched('experiment_name') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

caps as (
    select * from {{ ref('int_experiment_caps') }}
),

left_out as (
    select * from {{ ref('int_experiment_left_out_daily') }}
    where {{ is_touched('experiment_name') }}
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
    {{ adjustment_chain('judged', 'caps.cap_quantile', 'experiments.stratify_by') }} as adjustment_chain,
    judged.as_of_date,
    judged.control_units,
    judged.treatment_units,
    {{ experiment_result_columns('judged', var('sequential_units_minimum')) }},
    judged.is_deciding,
    judged.units_without_history,
    left_out.immature_units,
    left_out.out_of_time_units,
    left_out.several_variants_units,
    left_out.excluded_units,
    left_out.not_triggered_units,
    left_out.late_events,
    caps.numerator_cap,
    caps.denominator_cap,
    judged.inference,
    judged.alpha,
    judged.better,
    judged.status
from judged
inner join experiments
    on judged.experiment_name = experiments.experiment_name
inner join left_out
    on
        judged.experiment_name = left_out.experiment_name
        and judged.metric_name = left_out.metric_name
        and judged.as_of_date = left_out.as_of_date
left join caps
    on
        judged.experiment_name = caps.experiment_name
        and judged.metric_name = caps.metric_name
