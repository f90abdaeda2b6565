{#- What analysed units did in each 24-hour period since their exposure, of the periods that have
    passed and lie within the window as a whole. -#}
with

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where kind in ('mean', 'ratio')
),

events as (
    select * from {{ ref('int_experiment_unit_events') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

aged as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.unit_id,
        windows.variant,
        cast(
            floor({{ seconds_between('windows.window_start', 'events.occurred_at') }} / 86400e0)
            as bigint
        ) as days_since_exposure,
        -- a period that the window's end cuts short is less than a day's doing
        cast(
            floor(
                {{ seconds_between(
                    'windows.window_start', 'least(as_of.as_of, windows.window_end)'
                ) }} / 86400e0
            ) as bigint
        ) as whole_days,
        events.numerator,
        events.denominator
    from windows
    inner join events
        on
            windows.unit = events.unit
            and windows.unit_id = events.unit_id
            and windows.metric_name = events.metric_name
            and events.occurred_at >= windows.window_start
            and events.occurred_at < windows.window_end
    cross join as_of
)

select
    experiment_name,
    metric_name,
    kind,
    unit_id,
    variant,
    days_since_exposure,
    coalesce(sum(numerator), 0e0) as numerator,
    coalesce(sum(denominator), 0e0) as denominator
from aged
where days_since_exposure < whole_days
group by experiment_name, metric_name, kind, unit_id, variant, days_since_exposure
