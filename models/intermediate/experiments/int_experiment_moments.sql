{#- Sums about a shift near the mean, so that the variance keeps its digits where the mean is large
    against the spread. -#}
with

unit_values as (
    select * from {{ ref('int_experiment_unit_values') }}
    where kind in ('mean', 'proportion', 'retention', 'ratio')
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
),

shifts as (
    select
        experiment_name,
        metric_name,
        avg(numerator) as numerator_shift,
        avg(denominator) as denominator_shift
    from unit_values
    group by experiment_name, metric_name
),

shifted as (
    select
        unit_values.experiment_name,
        unit_values.metric_name,
        unit_values.kind,
        unit_values.variant,
        unit_segments.segment_name,
        unit_segments.segment_value,
        unit_values.numerator as raw_numerator,
        unit_values.denominator as raw_denominator,
        unit_values.numerator - shifts.numerator_shift as numerator,
        unit_values.denominator - shifts.denominator_shift as denominator
    from unit_values
    inner join shifts
        on
            unit_values.experiment_name = shifts.experiment_name
            and unit_values.metric_name = shifts.metric_name
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
    count(*) as units,
    sum(raw_numerator) as numerator_total,
    sum(raw_denominator) as denominator_total,
    sum(numerator) as numerator_sum,
    sum(denominator) as denominator_sum,
    sum(numerator * numerator) as numerator_square_sum,
    sum(denominator * denominator) as denominator_square_sum,
    sum(numerator * denominator) as product_sum
from shifted
group by
    experiment_name,
    metric_name,
    kind,
    variant,
    segment_name,
    segment_value
