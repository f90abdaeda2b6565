{#- What each analysed unit had done by the end of each day on which that changed: the first row is
    the day it enters, with 0 if it did nothing. A window that must close before the unit counts
    gives one row, on the day it closes. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where is_mature and {{ is_touched('experiment_name') }}
),

events as (
    select * from {{ ref('int_experiment_unit_events') }}
),

funnels as (
    select * from {{ ref('int_experiment_funnels') }}
),

partials as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.unit_id,
        case when windows.has_window then windows.entered_on else cast(events.occurred_at as date) end
            as as_of_date,
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
    where windows.kind not in ('funnel', 'quantile')
    union all
    select
        windows.experiment_name,
        windows.metric_name,
        windows.unit_id,
        case
            when windows.has_window then windows.entered_on else cast(funnels.completed_at as date)
        end as as_of_date,
        1e0 as numerator,
        0e0 as denominator
    from windows
    inner join funnels
        on
            windows.experiment_name = funnels.experiment_name
            and windows.metric_name = funnels.metric_name
            and windows.unit_id = funnels.unit_id
    union all
    select
        experiment_name,
        metric_name,
        unit_id,
        entered_on as as_of_date,
        0e0 as numerator,
        0e0 as denominator
    from windows
    where kind != 'quantile'
),

daily as (
    select
        experiment_name,
        metric_name,
        unit_id,
        as_of_date,
        coalesce(sum(numerator), 0e0) as numerator,
        coalesce(sum(denominator), 0e0) as denominator
    from partials
    group by experiment_name, metric_name, unit_id, as_of_date
),

cumulative as (
    select
        experiment_name,
        metric_name,
        unit_id,
        as_of_date,
        sum(numerator) over unit_so_far as numerator,
        sum(denominator) over unit_so_far as denominator,
        lead(as_of_date) over unit_days as next_date
    from daily
    window
        unit_days as (
            partition by experiment_name, metric_name, unit_id order by as_of_date
        ),
        unit_so_far as (
            partition by experiment_name, metric_name, unit_id order by as_of_date
            rows between unbounded preceding and current row
        )
)

select
    cumulative.experiment_name,
    cumulative.metric_name,
    windows.kind,
    cumulative.unit_id,
    windows.variant,
    cumulative.as_of_date,
    case
        when windows.kind in ('proportion', 'retention', 'funnel')
            then case when cumulative.numerator > 0e0 then 1e0 else 0e0 end
        else cumulative.numerator
    end as numerator,
    case when windows.kind = 'ratio' then cumulative.denominator else 1e0 end as denominator,
    cumulative.next_date is null as is_latest
from cumulative
inner join windows
    on
        cumulative.experiment_name = windows.experiment_name
        and cumulative.metric_name = windows.metric_name
        and cumulative.unit_id = windows.unit_id
