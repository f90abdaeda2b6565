{#- Declared segments of the population, as last seen with consent before the cut. Segments of today
    count from tomorrow, as everything that the population is fitted on. -#}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
    where user_id is not null and has_personalization_consent
),

batches as (
    select * from {{ ref('stg_telemetry__batches') }}
),

segments as (
    select * from {{ ref('stg_declarations__segments') }}
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

population as (
    select * from {{ ref('int_preference_population') }}
),

seen as (
    select
        exposures.user_id,
        exposures.event_date,
        cast(batches.loaded_at as date) as loaded_date,
        segments.segment_name,
        nullif(exposures.attributes[segments.source_attribute], '') as segment_value,
        {{ order_key('exposures.occurred_at', 'exposures.event_id') }} as event_order
    from exposures
    inner join population
        on exposures.user_id = population.user_id
    inner join batches
        on exposures.batch_id = batches.batch_id
    cross join segments
),

-- one row a day first: cuts multiply rows
last_of_days as (
    select
        user_id,
        event_date,
        loaded_date,
        segment_name,
        max(event_order) as event_order,
        max_by(segment_value, event_order) as segment_value
    from seen
    where segment_value is not null
    group by user_id, event_date, loaded_date, segment_name
)

select
    cuts.cut,
    last_of_days.user_id,
    last_of_days.segment_name,
    max_by(last_of_days.segment_value, last_of_days.event_order) as segment_value
from last_of_days
inner join cuts
    on
        coalesce(last_of_days.event_date < cuts.evidence_until, true)
        and coalesce(last_of_days.loaded_date < cuts.loaded_before, true)
group by cuts.cut, last_of_days.user_id, last_of_days.segment_name
