with

users as (
    select * from {{ ref('dim_users') }}
),

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
),

consents as (
    select * from {{ ref('int_consents_effective') }}
    where valid_to is null
)

select
    users.user_id,
    purposes.purpose,
    coalesce(consents.is_granted, purposes.granted_by_default) as is_granted,
    consents.user_id is not null as is_stated,
    consents.valid_from as stated_at
from users
cross join purposes
left join consents
    on
        users.user_id = consents.user_id
        and purposes.purpose = consents.purpose
