-- Fails if a failed check does not say what to look at, or rests on a probability that is no failure.
select
    experiment_name,
    check_name,
    segment_name,
    segment_value,
    p_value,
    detail
from {{ ref('rpt_experiment_health') }}
where
    status = 'fail'
    and (detail not like '%Look at%' or p_value >= 1e-3)
