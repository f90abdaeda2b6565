{#- The experiment as it would have run in the days just before its start, with nobody treated:
    units enter on their first activity, and the metric's delay, window, covariate window and cap
    hold. Quantiles and funnels have no history. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

events as (
    select * from {{ ref('fct_events') }}
),

metric_events as (
    select * from {{ ref('int_experiment_unit_events') }}
),

active_days as (
    select * from {{ ref('int_experiment_active_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- an experiment that is yet to start is planned from what there is today
anchored as (
    select
        experiments.experiment_name,
        experiments.unit,
        coalesce(experiments.trigger_event, '') as entry_event,
        least(coalesce(experiments.started_at, as_of.as_of), as_of.as_of) as history_end,
        case
            when experiments.ended_at is null or experiments.started_at is null then 28
            else greatest({{ days_between('experiments.started_at', 'experiments.ended_at') }}, 1)
        end as entry_days
    from experiments
    cross join as_of
),

periods as (
    select
        anchored.experiment_name,
        anchored.unit,
        anchored.entry_event,
        anchored.entry_days,
        anchored.history_end,
        experiment_metrics.metric_name,
        metrics.kind,
        metrics.delay_days,
        metrics.window_days,
        metrics.covariate_days,
        metrics.cap_quantile,
        case
            when metrics.window_days is null then 0e0
            else metrics.delay_days + metrics.window_days
        end as closing_days
    from anchored
    inner join experiment_metrics
        on anchored.experiment_name = experiment_metrics.experiment_name
    inner join metrics
        on experiment_metrics.metric_name = metrics.metric_name
    where metrics.kind not in ('quantile', 'funnel')
),

entry_periods as (
    select
        periods.*,
        cast({{ add_time('history_end', '-(entry_days + closing_days) * 24', 'hour') }} as date)
            as entry_from,
        cast({{ add_time('history_end', '-closing_days * 24', 'hour') }} as date) as entry_until
    from periods
),

telemetry as (
    select min(event_date) as first_date
    from events
),

entered as (
    select
        entry_periods.experiment_name,
        entry_periods.metric_name,
        active_days.unit_id,
        min(active_days.active_at) as entered_at
    from entry_periods
    inner join active_days
        on
            entry_periods.unit = active_days.unit
            and entry_periods.entry_event = active_days.entry_event
            and entry_periods.entry_from <= active_days.event_date
            and entry_periods.entry_until > active_days.event_date
    group by entry_periods.experiment_name, entry_periods.metric_name, active_days.unit_id
),

windows as (
    select
        entry_periods.experiment_name,
        entry_periods.metric_name,
        entry_periods.unit,
        entry_periods.kind,
        entry_periods.cap_quantile,
        entry_periods.entry_days,
        entry_periods.closing_days,
        entry_periods.covariate_days is not null as has_covariate,
        telemetry.first_date <= entry_periods.entry_from as is_covered,
        entered.unit_id,
        entered.entered_at,
        {{ add_time('entered.entered_at', 'entry_periods.delay_days * 24', 'hour') }} as window_start,
        case
            when entry_periods.window_days is null then entry_periods.history_end
            else {{ add_time('entered.entered_at', 'entry_periods.closing_days * 24', 'hour') }}
        end as window_end,
        {{ add_time(
            'entered.entered_at', '-coalesce(entry_periods.covariate_days, 0) * 24', 'hour'
        ) }} as covariate_start
    from entered
    inner join entry_periods
        on
            entered.experiment_name = entry_periods.experiment_name
            and entered.metric_name = entry_periods.metric_name
    cross join telemetry
),

sums as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.cap_quantile,
        windows.entry_days,
        windows.closing_days,
        windows.has_covariate,
        windows.is_covered,
        windows.unit_id
        {%- for prefix, first, last in [
            ('', 'window_start', 'window_end'), ('covariate_', 'covariate_start', 'entered_at'),
        ] %}
        {%- for part in ['numerator', 'denominator'] %},
        coalesce(sum(
            case
                when metric_events.occurred_at >= windows.{{ first }}
                    and metric_events.occurred_at < windows.{{ last }}
                    then metric_events.{{ part }}
            end
        ), 0e0) as {{ prefix }}{{ part }}
        {%- endfor %}
        {%- endfor %}
    from windows
    left join metric_events
        on
            windows.unit = metric_events.unit
            and windows.unit_id = metric_events.unit_id
            and windows.metric_name = metric_events.metric_name
            and windows.covariate_start <= metric_events.occurred_at
            and windows.window_end > metric_events.occurred_at
    group by
        windows.experiment_name, windows.metric_name, windows.kind, windows.cap_quantile,
        windows.entry_days, windows.closing_days, windows.has_covariate, windows.is_covered,
        windows.unit_id
),

unit_values as (
    select
        experiment_name,
        metric_name,
        kind,
        cap_quantile,
        entry_days,
        closing_days,
        has_covariate,
        is_covered,
        unit_id
        {%- for prefix in ['', 'covariate_'] %},
        case
            when kind in ('proportion', 'retention')
                then case when {{ prefix }}numerator > 0e0 then 1e0 else 0e0 end
            else {{ prefix }}numerator
        end as {{ prefix }}numerator,
        case when kind = 'ratio' then {{ prefix }}denominator else 1e0 end as {{ prefix }}denominator
        {%- endfor %}
    from sums
),

{{ metric_caps('unit_values', name='caps') }}

select
    unit_values.experiment_name,
    unit_values.metric_name,
    unit_values.unit_id,
    unit_values.entry_days,
    unit_values.closing_days,
    unit_values.has_covariate,
    unit_values.is_covered,
    {{ capped('unit_values.numerator', 'caps.numerator_cap') }} as numerator,
    {{ capped('unit_values.denominator', 'caps.denominator_cap') }} as denominator,
    unit_values.covariate_numerator,
    unit_values.covariate_denominator
from unit_values
left join caps
    on
        unit_values.experiment_name = caps.experiment_name
        and unit_values.metric_name = caps.metric_name
