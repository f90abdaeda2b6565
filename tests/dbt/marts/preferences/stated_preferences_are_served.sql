-- Fails if a user who consents set a preference and is served something else; the mirror is
-- served_statements_were_made.
with

stated as (
    select * from {{ ref('int_preferences_stated') }}
),

consenting as (
    select consents.user_id
    from {{ ref('dim_user_consents') }} as consents
    inner join {{ ref('dim_users') }} as users
        on consents.user_id = users.user_id
    where consents.purpose = 'personalization' and consents.is_granted and not users.is_excluded
),

served as (
    select * from {{ ref('dim_user_preferences') }}
)

select
    stated.user_id,
    stated.dimension,
    stated.context,
    stated.value,
    served.kind,
    served.value as served_value
from stated
inner join consenting
    on stated.user_id = consenting.user_id
left join served
    on
        stated.user_id = served.user_id
        and stated.dimension = served.dimension
        and stated.context = served.context
where served.user_id is null or served.kind != 'stated' or served.value != stated.value
