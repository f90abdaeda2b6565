-- Fails if a user who is not left out has no profile, or a profile no such user.
with

users as (
    select * from {{ ref('dim_users') }}
    where not is_excluded
),

profiles as (
    select * from {{ ref('hot_user_profiles') }}
)

select
    users.user_id,
    profiles.user_id as profile_user_id
from users
full outer join profiles
    on users.user_id = profiles.user_id
where users.user_id is null or profiles.user_id is null
