with

statements as (
    select * from {{ ref('int_identities_stated') }}
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
