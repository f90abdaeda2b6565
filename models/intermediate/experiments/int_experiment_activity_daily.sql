{#- On which days anything of an arm was logged: its exposures, and the events of each metric after
    exposure, counted by unit. -#}
{{ overwrite_by(
    'int_activity_date_versions', 'event_date', ['experiments', 'experiment_metrics'],
    reads_metrics=true
) }}
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

exposures as (
    select * from {{ ref('int_exposures_merged') }}
    where {{ is_touched('cast(exposed_at as date)') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

metric_events as (
    select * from {{ ref('int_experiment_unit_events') }}
    where {{ is_touched('event_date') }} and {{ is_touched('cast(occurred_at as date)') }}
),

exposed as (
    select
        experiments.experiment_name,
        case experiments.unit
            when 'session' then exposures.session_id
            when 'organization' then exposures.organization_id
            else exposures.unit_id
        end as unit_id,
        cast(exposures.exposed_at as date) as event_date
    from exposures
    inner join experiments
        on exposures.flag_key = experiments.experiment_name
    left join excluded
        on exposures.unit_id = excluded.unit_id
    where
        excluded.unit_id is null
        and (experiments.started_at is null or exposures.exposed_at >= experiments.started_at)
        and (experiments.ended_at is null or exposures.exposed_at < experiments.ended_at)
),

signals as (
    select
        units.experiment_name,
        units.variant,
        'exposures' as signal,
        exposed.event_date,
        units.unit_id
    from units
    inner join exposed
        on
            units.experiment_name = exposed.experiment_name
            and units.unit_id = exposed.unit_id
    union all
    select
        units.experiment_name,
        units.variant,
        experiment_metrics.metric_name as signal,
        cast(metric_events.occurred_at as date) as event_date,
        units.unit_id
    from units
    inner join experiments
        on units.experiment_name = experiments.experiment_name
    inner join experiment_metrics
        on units.experiment_name = experiment_metrics.experiment_name
    inner join metric_events
        on
            experiments.unit = metric_events.unit
            and units.unit_id = metric_events.unit_id
            and experiment_metrics.metric_name = metric_events.metric_name
            and metric_events.occurred_at >= units.analysed_from
            and (experiments.ended_at is null or metric_events.occurred_at < experiments.ended_at)
)

select
    experiment_name,
    variant,
    signal,
    event_date,
    count(distinct unit_id) as units
from signals
group by experiment_name, variant, signal, event_date
