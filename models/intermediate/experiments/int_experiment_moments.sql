{#- Moments of disjoint units merge by addition; the latest value of each unit counts. All units
    together need no segments: joined to each of its values they would cost more than the sums. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

-- read twice: a shared CTE would be copied in whole before either sum
unit_values as (
    select
        *,
        1 as sign
    from {{ ref('int_experiment_unit_values') }}
    where is_latest and {{ is_touched('experiment_name') }}
),

segment_values as (
    select
        *,
        1 as sign
    from {{ ref('int_experiment_unit_values') }}
    where is_latest and {{ is_touched('experiment_name') }}
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
    where segment_name != 'all'
),

segmented as (
    select
        segment_values.*,
        unit_segments.segment_name,
        unit_segments.segment_value
    from segment_values
    inner join unit_segments
        on
            segment_values.experiment_name = unit_segments.experiment_name
            and segment_values.unit_id = unit_segments.unit_id
)

select
    experiment_name,
    metric_name,
    kind,
    variant,
    'all' as segment_name,
    'all' as segment_value,
    {{ moment_sums() }}
from unit_values
group by experiment_name, metric_name, kind, variant
union all
select
    experiment_name,
    metric_name,
    kind,
    variant,
    segment_name,
    segment_value,
    {{ moment_sums() }}
from segmented
group by
    experiment_name,
    metric_name,
    kind,
    variant,
    segment_name,
    segment_value
