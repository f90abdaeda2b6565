{#- Users for whom consent to personalization is in force now. -#}
with

users as (
    select * from {{ ref('dim_users') }}
),

consents as (
    select * from {{ ref('int_consents_effective') }}
    where purpose = 'personalization' and valid_to is null
),

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
    where purpose = 'personalization'
)

select users.user_id
from users
left join purposes
    on true
left join consents
    on users.user_id = consents.user_id
where
    not users.is_excluded
    and coalesce(consents.is_granted, purposes.granted_by_default, false)
