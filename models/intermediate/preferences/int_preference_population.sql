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
    select coalesce(cast(loaded_before as timestamp), {{ end_of_time() }}) as stands_at
    from {{ ref('int_preference_cuts') }}
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
        and consents.valid_from < cuts.stands_at
        and coalesce(consents.valid_to, {{ end_of_time() }}) >= cuts.stands_at
where coalesce(consents.is_granted, purposes.granted_by_default, false)
