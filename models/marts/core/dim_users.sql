with

events as (
    select * from {{ ref('int_events_resolved') }}
    where user_id is not null and has_operations_consent
),

identities as (
    select * from {{ ref('int_identities_linked') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

users as (
    select
        user_id,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at,
        count(distinct event_date) as active_day_count,
        count(*) as event_count
    from events
    group by user_id
),

links as (
    select
        user_id,
        count(*) as linked_id_count
    from identities
    group by user_id
)

select
    users.user_id,
    users.first_event_at,
    users.last_event_at,
    users.active_day_count,
    users.event_count,
    coalesce(links.linked_id_count, 0) as linked_id_count,
    excluded.unit_id is not null as is_excluded,
    excluded.rule_name as exclusion_rule
from users
left join links
    on users.user_id = links.user_id
left join excluded
    on users.user_id = excluded.unit_id
