{{ overwrite_by('int_preference_user_versions', 'user_id', ['preference_dimensions']) }}
with

candidates as (
    select * from {{ ref('int_preference_candidates') }}
    where cut = 'now' and {{ is_touched('user_id') }}
),

ranked as (
    select
        candidates.*,
        -- ties go to the value with more evidence, then to the last by name
        row_number() over (
            partition by user_id, dimension, context
            order by {{ choice_key('score', 'evidence_count', 'value') }} desc
        ) as position
    from candidates
)

select
    user_id,
    dimension,
    context,
    value,
    trials,
    successes,
    prior_mean,
    prior_strength,
    segment,
    score,
    everyone_term,
    context_term,
    segment_term,
    own_term,
    evidence_count,
    first_signal_at,
    last_signal_at
from ranked
where position = 1
