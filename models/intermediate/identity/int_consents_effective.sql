with

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

-- a copy that did not survive says nothing
statements as (
    select stated.*
    from {{ ref('int_consents_stated') }} as stated
    left join repeated
        on stated.record_key = repeated.record_key
    where repeated.record_key is null
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
        coalesce(identities.user_id, statements.pseudonym) as user_id,
        statements.purpose,
        statements.occurred_at as valid_from,
        min(case when statements.is_granted then 1 else 0 end) = 1 as is_granted
    from statements
    left join identities
        on statements.pseudonym = identities.pseudonym
    group by
        coalesce(identities.user_id, statements.pseudonym),
        statements.purpose,
        statements.occurred_at
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
