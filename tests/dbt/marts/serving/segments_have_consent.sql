-- Fails if a profile holds segments of a user who does not consent now to measurement, which they come
-- from, or to personalization, which they are served for.
with

profiles as (
    select * from {{ ref('hot_user_profiles') }}
    where {{ json_value_text('payload', '$.segments') }} is not null
),

refusing as (
    select * from {{ ref('dim_user_consents') }}
    where purpose in ('measurement', 'personalization') and not is_granted
)

select
    profiles.user_id,
    refusing.purpose
from profiles
inner join refusing
    on profiles.user_id = refusing.user_id
