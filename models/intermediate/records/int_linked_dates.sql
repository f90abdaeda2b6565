with

records as (
    select * from {{ ref('int_records_deduplicated') }}
),

-- a turn is told by the spans or calls of a trace, a suggestion by several events, an exposure by a
-- log event and a span event
members as (
    select distinct
        concat('trace:', trace_id) as group_key,
        event_date
    from records
    where
        trace_id is not null
        and (
            record_kind = 'span'
            or event_name in (
                'assistant.model.call', 'assistant.model.call.failed', 'assistant.tool.call'
            )
        )
    union all
    select distinct
        concat('suggestion:', suggestion_id) as group_key,
        event_date
    from records
    where suggestion_id is not null
    union all
    select distinct
        concat('exposure:', trace_id) as group_key,
        event_date
    from records
    where trace_id is not null and event_name = 'feature_flag.evaluation'
),

across_dates as (
    select group_key
    from members
    group by group_key
    having count(*) > 1
),

linked as (
    select members.*
    from members
    inner join across_dates
        on members.group_key = across_dates.group_key
)

select distinct
    linked.event_date,
    elsewhere.event_date as linked_date
from linked
inner join linked as elsewhere
    on
        linked.group_key = elsewhere.group_key
        and linked.event_date != elsewhere.event_date
