{{ config(meta={'moves': 'daily'}) }}
{#- The instants that preferences are judged at: `now`, and two in the past whose days after say how
    good the preferences of that instant were. -#}
{%- set days = var('preference_holdout_days') %}
with

as_of as (
    select cast(as_of as date) as as_of_date from {{ ref('int_as_of') }}
),

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
),

-- the first day of all has only loads of its own to fit the population on
fitted_until as (
    select
        as_of.as_of_date,
        max(partials.event_date) as last_date,
        max(case when partials.loaded_date < as_of.as_of_date then partials.event_date end)
            as last_earlier_date
    from as_of
    left join partials
        on true
    group by as_of.as_of_date
),

dates as (
    select
        as_of_date,
        case when last_earlier_date is not null then as_of_date end as loaded_before,
        coalesce(last_earlier_date, last_date) as last_date
    from fitted_until
)

select
    'now' as cut,
    as_of_date as cut_date,
    cast(null as date) as evidence_until,
    cast(null as date) as outcomes_until,
    loaded_before,
    last_date
from dates
union all
select
    'quality' as cut,
    {{ date_plus('last_date', 1 - days) }} as cut_date,
    {{ date_plus('last_date', 1 - days) }} as evidence_until,
    {{ date_plus('last_date', 1) }} as outcomes_until,
    loaded_before,
    last_date
from dates
where last_date is not null
union all
select
    'half_life' as cut,
    {{ date_plus('last_date', 1 - 2 * days) }} as cut_date,
    {{ date_plus('last_date', 1 - 2 * days) }} as evidence_until,
    {{ date_plus('last_date', 1 - days) }} as outcomes_until,
    loaded_before,
    last_date
from dates
where last_date is not null
