{#- Who is served defaults so that the effect of personalization can be measured: by a hash, so that
    it is the same in every build, and so that a larger share keeps those who were held out before. -#}
with

users as (
    select * from {{ ref('dim_users') }}
),

holdout as (
    select * from {{ ref('stg_declarations__personalization_holdout') }}
),

hashed as (
    select
        users.user_id,
        holdout.share,
        md5(concat(holdout.salt, ':', users.user_id)) as digest
    from users
    cross join holdout
)

select user_id
from hashed
where {{ hash_share('digest') }} < share
