with

records as (
    select * from {{ ref('int_records_deduplicated') }}
    where event_name = 'user.identified'
),

identifications as (
    select * from {{ ref('stg_telemetry__identifications') }}
),

statements as (
    select
        identifications.anonymous_id as pseudonym,
        identifications.pseudonym as user_id,
        coalesce(identifications.action, 'link') as action,
        identifications.occurred_at,
        {{ order_key('identifications.occurred_at', 'identifications.event_id') }} as said_at
    from records
    inner join identifications
        on records.record_key = identifications.record_key
    where
        identifications.anonymous_id is not null
        and identifications.pseudonym is not null
        and identifications.anonymous_id != identifications.pseudonym
),

-- the last statement about an anonymous id holds, for all of its time
last_statements as (
    select
        pseudonym,
        max_by(user_id, said_at) as user_id,
        max_by(action, said_at) as action,
        max(occurred_at) as linked_at
    from statements
    group by pseudonym
)

select
    pseudonym,
    user_id,
    linked_at
from last_statements
where action = 'link'
