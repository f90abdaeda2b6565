with

erasures as (
    select * from {{ ref('int_erasures_requested') }}
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

as_of as (
    select as_of from {{ ref('int_as_of') }}
),

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where pseudonym is not null and event_name not in {{ suppression_events() }}
),

records_left as (
    select
        erasures.user_id,
        count(*) as records_left
    from records
    left join identities
        on records.pseudonym = identities.pseudonym
    inner join erasures
        on
            coalesce(identities.user_id, records.pseudonym) = erasures.user_id
            and records.occurred_at <= erasures.erased_until
    group by erasures.user_id
)

select
    erasures.user_id,
    erasures.erased_until as requested_at,
    records_left.user_id is null as is_done,
    coalesce(records_left.records_left, 0) as records_left,
    case
        when records_left.user_id is not null
            then cast({{ days_between(
                'cast(erasures.erased_until as date)', 'cast(as_of.as_of as date)'
            ) }} as bigint)
    end as days_open
from erasures
cross join as_of
left join records_left
    on erasures.user_id = records_left.user_id
