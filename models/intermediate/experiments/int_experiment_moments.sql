{#- Moments of disjoint units merge by addition; the latest value of each unit counts. -#}
with

unit_values as (
    select * from {{ ref('int_experiment_unit_values') }}
    where is_latest
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
),

segmented as (
    select
        unit_values.*,
        unit_segments.segment_name,
        unit_segments.segment_value,
        1 as sign
    from unit_values
    inner join unit_segments
        on
            unit_values.experiment_name = unit_segments.experiment_name
            and unit_values.unit_id = unit_segments.unit_id
)

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
