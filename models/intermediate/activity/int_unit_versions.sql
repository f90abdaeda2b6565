with

events as (
    select * from {{ ref('int_events_resolved') }}
    where unit_id is not null and has_operations_consent
),

-- counts alone would miss an event that was replaced by another: extremes are added
parts as (
    select
        unit_id,
        concat(
            event_date, ':', batch_id, ':', coalesce(pseudonym, ''), ':', count(*), ':',
            min(occurred_at), ':', max(occurred_at)
        ) as part
    from events
    group by unit_id, event_date, batch_id, pseudonym
)

select
    unit_id,
    {{ sorted_digest('part') }} as version
from parts
group by unit_id
