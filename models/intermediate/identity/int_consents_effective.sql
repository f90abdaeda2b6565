with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where event_name = 'user.consent.changed' and pseudonym is not null
),

consents as (
    select * from {{ ref('stg_telemetry__consents') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

-- of two statements at one instant the withdrawal holds
changes as (
    select
        coalesce(identities.user_id, records.pseudonym) as user_id,
        consents.purpose,
        consents.occurred_at as valid_from,
        min(case when consents.is_granted then 1 else 0 end) = 1 as is_granted
    from records
    inner join consents
        on records.record_key = consents.record_key
    left join identities
        on records.pseudonym = identities.pseudonym
    where consents.purpose is not null and consents.is_granted is not null
    group by
        coalesce(identities.user_id, records.pseudonym),
        consents.purpose,
        consents.occurred_at
)

select
    changes.user_id,
    changes.purpose,
    changes.is_granted,
    changes.valid_from,
    lead(changes.valid_from) over (
        partition by changes.user_id, changes.purpose
        order by changes.valid_from
    ) as valid_to
from changes
left join erasures
    on changes.user_id = erasures.user_id
where erasures.user_id is null or changes.valid_from > erasures.erased_until
