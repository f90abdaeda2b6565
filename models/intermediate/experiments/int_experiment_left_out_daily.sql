{#- What stands beside each day of the scorecard's history: the units that were exposed by its end and
    do not count there, and the events that were not there to be seen. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
{%- set experiment_counts = [
    'several_variants_units', 'excluded_units', 'not_triggered_units', 'late_events',
] %}
with

judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where not is_final and {{ is_touched('experiment_name') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where {{ is_touched('experiment_name') }}
),

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where {{ is_touched('experiment_name') }}
),

arrivals as (
    select * from {{ ref('int_experiment_arrivals') }}
    where {{ is_touched('experiment_name') }}
),

days as (
    select distinct
        experiment_name,
        metric_name,
        as_of_date
    from judged
),

-- a unit waits for its trigger from its first exposure until it is analysed
unit_changes as (
    select
        experiment_name,
        cast(first_exposed_at as date) as as_of_date,
        case when role = 'several_variants' then 1 else 0 end as several_variants_units,
        case when role = 'excluded_unit' then 1 else 0 end as excluded_units,
        case when role in ('not_triggered', 'analysed') then 1 else 0 end as not_triggered_units,
        0 as late_events
    from units
    union all
    select
        experiment_name,
        cast(analysed_from as date) as as_of_date,
        0 as several_variants_units,
        0 as excluded_units,
        -1 as not_triggered_units,
        0 as late_events
    from units
    where role = 'analysed'
    union all
    select
        experiment_name,
        event_date as as_of_date,
        0 as several_variants_units,
        0 as excluded_units,
        0 as not_triggered_units,
        late_events
    from arrivals
    union all
    select
        experiment_name,
        as_of_date,
        0 as several_variants_units,
        0 as excluded_units,
        0 as not_triggered_units,
        0 as late_events
    from days
),

experiment_changes as (
    select
        experiment_name,
        as_of_date
        {%- for column in experiment_counts %},
        sum({{ column }}) as {{ column }}
        {%- endfor %}
    from unit_changes
    group by experiment_name, as_of_date
),

experiment_days as (
    select
        experiment_name,
        as_of_date
        {%- for column in experiment_counts %},
        cast(sum({{ column }}) over days_so_far as bigint) as {{ column }}
        {%- endfor %}
    from experiment_changes
    window days_so_far as (
        partition by experiment_name
        order by as_of_date
        rows between unbounded preceding and current row
    )
),

window_changes as (
    select
        experiment_name,
        metric_name,
        cast(analysed_from as date) as as_of_date,
        case when entered_on is not null then 1 else 0 end as immature_units,
        case when entered_on is null then 1 else 0 end as out_of_time_units
    from windows
    union all
    select
        experiment_name,
        metric_name,
        entered_on as as_of_date,
        -1 as immature_units,
        0 as out_of_time_units
    from windows
    where entered_on is not null
    union all
    select
        experiment_name,
        metric_name,
        as_of_date,
        0 as immature_units,
        0 as out_of_time_units
    from days
),

metric_changes as (
    select
        experiment_name,
        metric_name,
        as_of_date,
        sum(immature_units) as immature_units,
        sum(out_of_time_units) as out_of_time_units
    from window_changes
    group by experiment_name, metric_name, as_of_date
),

metric_days as (
    select
        experiment_name,
        metric_name,
        as_of_date,
        cast(sum(immature_units) over days_so_far as bigint) as immature_units,
        cast(sum(out_of_time_units) over days_so_far as bigint) as out_of_time_units
    from metric_changes
    window days_so_far as (
        partition by experiment_name, metric_name
        order by as_of_date
        rows between unbounded preceding and current row
    )
)

select
    days.experiment_name,
    days.metric_name,
    days.as_of_date,
    metric_days.immature_units,
    metric_days.out_of_time_units
    {%- for column in experiment_counts %},
    experiment_days.{{ column }}
    {%- endfor %}
from days
inner join experiment_days
    on
        days.experiment_name = experiment_days.experiment_name
        and days.as_of_date = experiment_days.as_of_date
inner join metric_days
    on
        days.experiment_name = metric_days.experiment_name
        and days.metric_name = metric_days.metric_name
        and days.as_of_date = metric_days.as_of_date
