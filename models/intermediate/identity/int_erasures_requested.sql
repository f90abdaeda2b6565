with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where event_name = 'user.erasure.requested' and pseudonym is not null
),

identities as (
    select * from {{ ref('int_identities_linked') }}
)

select
    coalesce(identities.user_id, records.pseudonym) as user_id,
    max(records.occurred_at) as erased_until
from records
left join identities
    on records.pseudonym = identities.pseudonym
group by coalesce(identities.user_id, records.pseudonym)
