{#- What users did that says something about a preference, with consent at that time. -#}
{{ overwrite_by(
    'int_unit_part_versions', 'unit_part',
    [
        'preference_signals', 'preference_dimensions', 'preference_values', 'context_bins',
        'consent_purposes', 'attribute_aliases',
    ]
) }}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        user_id is not null
        and has_personalization_consent
        and {{ is_touched('unit_part') }}
),

signals as (
    select * from {{ ref('int_preference_signals_read') }}
    where {{ is_touched('unit_part') }}
),

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

-- known since its first copy: which copy survives must not make a signal younger
first_copies as (
    select
        repeated.event_id,
        min(batches.loaded_at) as loaded_at
    from repeated
    inner join batches
        on repeated.batch_id = batches.batch_id
    group by repeated.event_id
),

signalled as (
    select
        events.event_id,
        events.event_date,
        events.unit_part,
        {{ part_of('events.event_date', 'events.user_id') }} as user_part,
        cast(least(batches.loaded_at, coalesce(first_copies.loaded_at, batches.loaded_at)) as date)
            as loaded_date,
        events.occurred_at,
        events.user_id,
        signals.signal_name,
        signals.dimension,
        signals.value,
        signals.outcome,
        signals.weight,
        signals.context
    from events
    inner join signals
        on events.record_key = signals.record_key
    inner join batches
        on events.batch_id = batches.batch_id
    left join first_copies
        on events.event_id = first_copies.event_id
)

select
    signalled.*,
    {{ row_checksum(
        "concat_ws('|', event_id, user_id, loaded_date, signal_name, dimension, value, outcome,"
        ~ " weight, context, occurred_at)"
    ) }} as checksum
from signalled
