{#- The holdout as an experiment: a user is exposed by the first event at which they could have been
    served something of their own, whether they were or were held out. -#}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        user_id is not null
        and has_measurement_consent
        and has_personalization_consent
),

held_out as (
    select * from {{ ref('int_users_held_out') }}
),

holdout as (
    select * from {{ ref('stg_declarations__personalization_holdout') }}
    where share > 0e0
),

first_events as (
    select
        user_id,
        min(occurred_at) as exposed_at,
        min_by(event_id, {{ order_key('occurred_at', 'event_id') }}) as event_id
    from events
    group by user_id
)

select
    'personalization-holdout' as flag_key,
    case when held_out.user_id is null then 'personalized' else 'held_out' end as variant,
    first_events.user_id,
    first_events.exposed_at,
    first_events.event_id
from first_events
cross join holdout
left join held_out
    on first_events.user_id = held_out.user_id
