{#- A unit that comes counts from the day of its first exposure on, so that it touches no date before. -#}
{%- set is_timely = not (execute and has_untimely_metrics()) %}
{%- set source = 'date_versions' if is_timely else 'all_dates' %}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

date_versions as (
    select * from {{ ref('int_event_date_versions') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

late_dates as (
    select * from {{ ref('int_batch_dates_late') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

first_dates as (
    select min(event_date) as first_date from date_versions
),

bounds as (
    select
        min(coalesce(cast(experiments.started_at as date), first_dates.first_date)) as first_date,
        max(cast(as_of.as_of as date)) as last_date
    from experiments
    cross join first_dates
    inner join as_of
        on coalesce(experiments.started_at <= as_of.as_of, true)
),

-- what counts at another time than its row may do so on any day
dates as (
    select event_date from date_versions
    union
    select {{ date_series('first_date', 'last_date') }} as event_date from bounds
),

all_dates as (
    select {{ sorted_digest("concat(event_date, ':', version)") }} as version from date_versions
),

unit_dates as (
    select
        cast(first_exposed_at as date) as entered_on,
        sum(cast(
            {{ row_checksum("concat_ws('|', experiment_name, unit_id, variant, analysed_from)") }}
            as decimal(38, 0)
        )) as checksum
    from units
    group by cast(first_exposed_at as date)
),

entered as (
    select
        dates.event_date,
        sum(unit_dates.checksum) as checksum
    from dates
    inner join unit_dates
        on dates.event_date >= unit_dates.entered_on
    group by dates.event_date
),

late as (
    select
        event_date,
        {{ sorted_digest('batch_id') }} as version
    from late_dates
    group by event_date
),

exclusions as (
    select {{ sorted_digest('unit_id') }} as version from excluded
)

select
    dates.event_date,
    md5(
        concat_ws(
            '|',
            coalesce({{ source }}.version, ''), coalesce(cast(entered.checksum as string), ''),
            coalesce(late.version, ''), coalesce(exclusions.version, '')
        )
    ) as version
from dates
cross join all_dates
cross join exclusions
left join date_versions
    on dates.event_date = date_versions.event_date
left join entered
    on dates.event_date = entered.event_date
left join late
    on dates.event_date = late.event_date
