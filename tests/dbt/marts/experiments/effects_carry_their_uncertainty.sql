-- Fails if an effect comes without its uncertainty, lies outside its interval, or is judged though
-- its status says that it cannot be.
select
    experiment_name,
    metric_name,
    treatment_variant,
    segment_name,
    segment_value,
    adjustment,
    status
from {{ ref('rpt_experiment_results') }}
where
    (
        status = 'ok'
        and (
            absolute_std_error is null
            or p_value is null
            or absolute_ci_lower is null
            or absolute_ci_upper is null
            or not absolute_effect between absolute_ci_lower and absolute_ci_upper
        )
    )
    or (
        status != 'ok'
        and (
            absolute_std_error is not null or p_value is not null or absolute_ci_lower is not null
        )
    )
