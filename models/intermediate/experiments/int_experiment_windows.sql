{#- When what an analysed unit does counts for a metric, and when what it did before counts as its
    covariate. A covariate ends with the first exposure, also where a later trigger starts the
    analysis: what the treatment may have changed adjusts nothing (Deng et al. 2013). -#}
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
        metrics.cap_quantile,
        metrics.quantile,
        units.analysed_from,
        units.first_exposed_at,
        {{ add_time('units.analysed_from', 'metrics.delay_days * 24', 'hour') }} as window_start,
        case
            when metrics.window_days is not null
                then {{ add_time(
                    'units.analysed_from', '(metrics.delay_days + metrics.window_days) * 24', 'hour'
                ) }}
            else coalesce(experiments.ended_at, {{ add_time('as_of.as_of', '24', 'hour') }})
        end as window_end,
        case
            when metrics.kind not in ('quantile', 'funnel') and metrics.covariate_days is not null
                then {{ add_time(
                    'units.first_exposed_at', '-metrics.covariate_days * 24', 'hour'
                ) }}
        end as covariate_start,
        metrics.window_days is not null as has_window,
        experiments.ended_at,
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

-- without a window a unit's time begins when its delay has passed; if that is from the end on, never
begun as (
    select
        windows.*,
        has_window or coalesce(window_start < ended_at, true) as has_time,
        -- clocks that run ahead expose after as_of
        window_start <= greatest(as_of, analysed_from) as has_begun
    from windows
),

matured as (
    select
        begun.*,
        -- a unit whose window is still open would count as having done less than it will
        case when has_window then window_end <= as_of else has_time and has_begun end as is_mature
    from begun
)

select
    experiment_name,
    unit,
    unit_id,
    variant,
    metric_name,
    kind,
    cap_quantile,
    quantile,
    analysed_from,
    first_exposed_at,
    window_start,
    window_end,
    covariate_start,
    has_window,
    is_mature,
    has_time and not is_mature as is_open,
    case when has_time then cast(case when has_window then window_end else window_start end as date) end
        as entered_on
from matured
