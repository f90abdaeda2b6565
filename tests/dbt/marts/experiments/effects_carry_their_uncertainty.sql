-- Fails if an effect comes without its uncertainty, lies outside its interval, or is judged though
-- its status says that it cannot be; if a relative interval has no ends and no reason, or both.
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
    {%- for end, reason in [
        ('relative_ci', 'relative_effect_missing_reason'),
        ('sequential_ci', 'sequential_missing_reason'),
        ('deciding_ci', 'deciding_ci_missing_reason'),
    ] %}
    or (
        status = 'ok'
        and (
            ({{ end }}_lower is null) != ({{ reason }} is not null)
            or ({{ end }}_upper is null) != ({{ reason }} is not null)
        )
    )
    or (status != 'ok' and {{ reason }} is not null)
    {%- endfor %}
