-- a table of its own, after the profiles: it is never newer than they are, also where a build ends
-- between the two
-- depends_on: {{ ref('hot_user_profiles') }}
with

user_controls as (
    select * from {{ ref('fct_user_controls') }}
)

select event_id from user_controls
