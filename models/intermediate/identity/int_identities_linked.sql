with

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

-- a copy that did not survive says nothing
statements as (
    select stated.*
    from {{ ref('int_identities_stated') }} as stated
    left join repeated
        on stated.record_key = repeated.record_key
    where repeated.record_key is null
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
