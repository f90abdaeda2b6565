-- Fails if the ledger's accepted records are not as many as the events that count and the twins of such;
-- what the ledger leaves over is covered by its mirror, every_record_of_a_file_has_one_fate.
with

ledger as (
    select coalesce(sum(accepted), 0) as accepted from {{ ref('rpt_telemetry_ledger') }}
),

-- a span event is part of its span and no record of its own
records as (
    select distinct event_id
    from {{ ref('stg_telemetry__records') }}
    where record_kind != 'span_event'
),

counting as (
    select event_id from {{ ref('int_events_resolved') }}
),

twins as (
    select * from {{ ref('int_twins_paired') }}
),

events as (
    select event_id from counting
    union all
    select twins.event_id
    from twins
    inner join counting
        on twins.twin_event_id = counting.event_id
),

counted as (
    select count(*) as event_count
    from records
    inner join events
        on records.event_id = events.event_id
)

select
    ledger.accepted,
    counted.event_count
from ledger
cross join counted
where ledger.accepted != counted.event_count
