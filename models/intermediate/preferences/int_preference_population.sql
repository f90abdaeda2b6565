{#- Whose evidence the population is fitted on: what a user says about consent today changes nobody
    else's scores before tomorrow. -#}
with

users as (
    select * from {{ ref('dim_users') }}
    where not is_excluded
),

consents as (
    select * from {{ ref('int_consents_effective') }}
    where purpose = 'personalization'
),

purposes as (
    select * from {{ ref('stg_declarations__consent_purposes') }}
    where purpose = 'personalization'
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where cut = 'now'
)

select users.user_id
from users
cross join cuts
left join purposes
    on true
left join consents
    on
        users.user_id = consents.user_id
        and (
            (cuts.loaded_before is null and consents.valid_to is null)
            or (
                consents.valid_from < cast(cuts.loaded_before as timestamp)
                and coalesce(consents.valid_to >= cast(cuts.loaded_before as timestamp), true)
            )
        )
where coalesce(consents.is_granted, purposes.granted_by_default, false)
