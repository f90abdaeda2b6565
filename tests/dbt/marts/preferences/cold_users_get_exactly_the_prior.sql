-- Fails if a value without signals from the user has another score than its prior's mean, is not marked
-- as a default, or carries an interval.
select
    user_id,
    dimension,
    context,
    kind,
    score,
    prior_mean
from {{ ref('dim_user_preferences') }}
where
    score is not null
    and evidence_count = 0
    and (kind != 'default' or score != prior_mean or score_lower is not null)
