{#- What users said about their preferences: settings and resets. A reset needs no consent. -#}
with

events as (
    select * from {{ ref('int_events_resolved') }}
    where
        user_id is not null
        and event_name in ('user.preference.set', 'user.preference.cleared')
),

controls as (
    select * from {{ ref('int_preference_controls_stated') }}
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

-- a reset without a dimension resets every one
named_dimensions as (
    select
        dimension as said,
        dimension,
        is_user_controllable
    from dimensions
    union all
    select
        '' as said,
        dimension,
        is_user_controllable
    from dimensions
)

select
    events.event_id,
    events.user_id,
    named_dimensions.dimension,
    coalesce(controls.context, 'all') as context,
    controls.value,
    events.occurred_at,
    events.event_date,
    cast(batches.loaded_at as date) as loaded_date,
    events.event_name = 'user.preference.cleared' as is_reset
from events
inner join controls
    on events.record_key = controls.record_key
inner join batches
    on events.batch_id = batches.batch_id
inner join named_dimensions
    on coalesce(controls.dimension, '') = named_dimensions.said
where
    events.event_name = 'user.preference.cleared'
    or (
        controls.dimension is not null
        and events.has_personalization_consent
        and named_dimensions.is_user_controllable
    )
