-- Fails if what is served is worse than popularity, or its intervals cover too little or too much.
select
    dimension,
    baseline,
    metric,
    gain,
    gain_ci_lower,
    gain_ci_upper,
    reason
from {{ ref('rpt_preference_quality') }}
where is_gate and status = 'fail'
