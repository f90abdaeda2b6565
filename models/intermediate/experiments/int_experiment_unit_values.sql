{#- What each analysed unit did in the metric's window after its first exposure; units that did
    nothing count as 0. -#}
with

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

metric_events as (
    select * from {{ ref('int_metric_events') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

windows as (
    select
        units.experiment_name,
        experiments.unit,
        units.unit_id,
        units.variant,
        metrics.metric_name,
        metrics.kind,
        {{ add_time('units.first_exposed_at', 'metrics.delay_days * 24', 'hour') }} as window_start,
        case
            when metrics.window_days is not null
                then {{ add_time(
                    'units.first_exposed_at', '(metrics.delay_days + metrics.window_days) * 24', 'hour'
                ) }}
            else coalesce(experiments.ended_at, {{ add_time('as_of.as_of', '24', 'hour') }})
        end as window_end,
        metrics.window_days is not null as has_window,
        as_of.as_of
    from units
    inner join experiments
        on units.experiment_name = experiments.experiment_name
    inner join experiment_metrics
        on units.experiment_name = experiment_metrics.experiment_name
    inner join metrics
        on experiment_metrics.metric_name = metrics.metric_name
    cross join as_of
),

-- a unit whose window is still open would count as having done less than it will
mature as (
    select * from windows
    where not has_window or window_end <= as_of
),

keyed_events as (
    {%- for unit, column in {
        'user': 'unit_id', 'session': 'session_id', 'organization': 'organization_id',
    }.items() %}
    select
        '{{ unit }}' as unit,
        {{ column }} as unit_id,
        metric_name,
        occurred_at,
        numerator,
        denominator
    from metric_events
    where {{ column }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

sums as (
    select
        mature.experiment_name,
        mature.metric_name,
        mature.kind,
        mature.unit_id,
        mature.variant,
        coalesce(sum(keyed_events.numerator), 0e0) as numerator,
        coalesce(sum(keyed_events.denominator), 0e0) as denominator
    from mature
    left join keyed_events
        on
            mature.unit = keyed_events.unit
            and mature.unit_id = keyed_events.unit_id
            and mature.metric_name = keyed_events.metric_name
            and keyed_events.occurred_at >= mature.window_start
            and keyed_events.occurred_at < mature.window_end
    group by
        mature.experiment_name,
        mature.metric_name,
        mature.kind,
        mature.unit_id,
        mature.variant
)

select
    experiment_name,
    metric_name,
    kind,
    unit_id,
    variant,
    case
        when kind in ('proportion', 'retention')
            then case when numerator > 0 then 1e0 else 0e0 end
        else numerator
    end as numerator,
    case when kind = 'ratio' then denominator else 1e0 end as denominator
from sums
