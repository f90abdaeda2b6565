-- Fails if a user who does not consent to personalization is scored, served anything but defaults, or
-- has a history of it.
with

refusing as (
    select user_id
    from {{ ref('dim_user_consents') }}
    where purpose = 'personalization' and not is_granted
),

personalized as (
    select
        user_id,
        dimension,
        kind as what
    from {{ ref('dim_user_preferences') }}
    where kind != 'default' or score is not null
    union all
    select
        user_id,
        dimension,
        'score' as what
    from {{ ref('fct_preference_scores') }}
    union all
    select
        user_id,
        dimension,
        'change' as what
    from {{ ref('fct_preference_changes') }}
)

select
    personalized.user_id,
    personalized.dimension,
    personalized.what
from personalized
inner join refusing
    on personalized.user_id = refusing.user_id
