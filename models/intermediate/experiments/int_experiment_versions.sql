{#- An experiment is closed when the last of its windows has: later dates say nothing about it, and
    neither does the build's instant. A metric whose time may lie on another date than its row has no
    end. -#}
{%- set metrics_version = local_md5(metric_definitions_text()) if execute else '' %}
{%- set is_timely = not (execute and has_untimely_metrics()) %}
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

units as (
    select * from {{ ref('int_experiment_units') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

date_versions as (
    select * from {{ ref('int_event_date_versions') }}
),

arrivals as (
    select * from {{ ref('int_experiment_arrivals') }}
),

declaration_versions as (
    select * from {{ ref('int_declaration_versions') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

window_ends as (
    select
        experiment_metrics.experiment_name,
        max(
            case
                when metrics.window_days is null then 0e0
                else metrics.delay_days + metrics.window_days
            end
        ) as closing_days
    from experiment_metrics
    inner join metrics
        on experiment_metrics.metric_name = metrics.metric_name
    group by experiment_metrics.experiment_name
),

ended as (
    select
        experiments.experiment_name,
        case
            when {{ 'true' if is_timely else 'false' }}
                then {{ add_time(
                    'experiments.ended_at', 'coalesce(window_ends.closing_days, 0e0) * 24', 'hour'
                ) }}
        end as closes_at
    from experiments
    left join window_ends
        on experiments.experiment_name = window_ends.experiment_name
),

date_sums as (
    select
        ended.experiment_name,
        {{ sum_of_checksums(
            row_checksum("concat_ws('|', date_versions.event_date, date_versions.version)")
        ) }} as checksums
    from ended
    inner join date_versions
        on
            ended.closes_at is null
            or date_versions.event_date <= cast(ended.closes_at as date)
    group by ended.experiment_name
),

unit_sums as (
    select
        experiment_name,
        {{ sum_of_checksums(row_checksum(
            "concat_ws('|', unit_id, variant, role, first_event_id, first_exposed_at, "
            ~ "coalesce(cast(analysed_from as string), ''))"
        )) }} as checksums
    from units
    group by experiment_name
),

-- whether an event is late depends on batches of other days too
arrival_sums as (
    select
        experiment_name,
        {{ sum_of_checksums(
            row_checksum("concat_ws('|', variant, event_date, late_events)")
        ) }} as checksums
    from arrivals
    where late_events > 0
    group by experiment_name
),

exclusions as (
    select {{ sorted_digest('unit_id') }} as version
    from excluded
),

declarations as (
    select {{ sorted_digest("concat(declaration, ':', version)") }} as version
    from declaration_versions
    where declaration in ('experiments', 'experiment_variants', 'experiment_metrics', 'segments')
)

select
    ended.experiment_name,
    md5(
        concat_ws(
            '|', '{{ metrics_version }}', declarations.version,
            coalesce(exclusions.version, ''), coalesce(unit_sums.checksums, ''),
            coalesce(date_sums.checksums, ''), coalesce(arrival_sums.checksums, ''),
            case when ended.closes_at <= as_of.as_of then '' else cast(as_of.as_of as string) end
        )
    ) as version
from ended
cross join as_of
cross join exclusions
cross join declarations
left join unit_sums
    on ended.experiment_name = unit_sums.experiment_name
left join date_sums
    on ended.experiment_name = date_sums.experiment_name
left join arrival_sums
    on ended.experiment_name = arrival_sums.experiment_name
