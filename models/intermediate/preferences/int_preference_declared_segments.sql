{#- Declared segments of the population, as last seen with consent before the cut. Segments of today
    count from tomorrow, as everything that the population is fitted on. -#}
with

days as (
    select * from {{ ref('int_user_segment_days') }}
    where has_personalization_consent
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

population as (
    select * from {{ ref('int_preference_population') }}
)

select
    cuts.cut,
    days.user_id,
    days.segment_name,
    max_by(days.segment_value, days.event_order) as segment_value
from days
inner join population
    on days.user_id = population.user_id
inner join cuts
    on
        coalesce(days.event_date < cuts.evidence_until, true)
        and coalesce(days.loaded_date < cuts.loaded_before, true)
group by cuts.cut, days.user_id, days.segment_name
