with

units as (
    select * from {{ ref('int_experiment_units') }}
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

cells as (
    select
        variants.experiment_name,
        segments.segment_name,
        segments.segment_value,
        variants.variant,
        variants.allocation
    from variants
    inner join (
        select distinct
            experiment_name,
            segment_name,
            segment_value
        from unit_segments
    ) as segments
        on variants.experiment_name = segments.experiment_name
),

counts as (
    select
        units.experiment_name,
        unit_segments.segment_name,
        unit_segments.segment_value,
        units.variant,
        count(*) as units
    from units
    inner join unit_segments
        on
            units.experiment_name = unit_segments.experiment_name
            and units.unit_id = unit_segments.unit_id
    where units.role = 'analysed'
    group by
        units.experiment_name,
        unit_segments.segment_name,
        unit_segments.segment_value,
        units.variant
),

observed as (
    select
        cells.*,
        coalesce(counts.units, 0) as units,
        sum(coalesce(counts.units, 0)) over (
            partition by cells.experiment_name, cells.segment_name, cells.segment_value
        ) as total_units,
        sum(cells.allocation) over (
            partition by cells.experiment_name, cells.segment_name, cells.segment_value
        ) as total_allocation
    from cells
    left join counts
        on
            cells.experiment_name = counts.experiment_name
            and cells.segment_name = counts.segment_name
            and cells.segment_value = counts.segment_value
            and cells.variant = counts.variant
),

expected as (
    select
        observed.*,
        total_units * allocation / nullif(total_allocation, 0e0) as expected_units
    from observed
),

chi_squares as (
    select
        experiment_name,
        segment_name,
        segment_value,
        sum((units - expected_units) * (units - expected_units) / nullif(expected_units, 0e0))
            as statistic,
        cast(count(*) - 1 as double) as degrees_of_freedom,
        min(expected_units) as smallest_expected,
        {{ sorted_list_text("concat(variant, ' ', units)") }} as arms
    from expected
    group by experiment_name, segment_name, segment_value
),

{{ chi_square_tail(
    'chi_squares', 'statistic', 'degrees_of_freedom', output='p_value', name='tested'
) }},

sample_ratio as (
    select
        experiment_name,
        'sample_ratio' as check_name,
        segment_name,
        segment_value,
        statistic,
        case when smallest_expected >= 5e0 then p_value end as p_value,
        case
            -- below five expected units the chi-square approximation does not hold
            when smallest_expected is null or smallest_expected < 5e0 then 'not_applicable'
            when p_value < 1e-3 then 'fail'
            else 'pass'
        end as status,
        case
            when smallest_expected is null or smallest_expected < 5e0
                then concat('Too few units to judge: ', arms, '.')
            when p_value < 1e-3
                then concat(
                    'Units do not split as declared: ', arms,
                    '. Look at who is not exposed or not reported in one arm.'
                )
            else concat('Units split as declared: ', arms, '.')
        end as detail
    from tested
),

set_apart as (
    select
        experiments.experiment_name,
        count(units.unit_id) as units,
        count(case when units.role = 'several_variants' then 1 end) as several_variants,
        count(case when units.role = 'excluded_unit' then 1 end) as excluded
    from experiments
    left join units
        on experiments.experiment_name = units.experiment_name
    group by experiments.experiment_name
),

units_set_apart as (
    select
        experiment_name,
        'units_set_apart' as check_name,
        'all' as segment_name,
        'all' as segment_value,
        several_variants / nullif(cast(units as double), 0e0) as statistic,
        cast(null as double) as p_value,
        case when units = 0 then 'not_applicable' else 'pass' end as status,
        concat(
            several_variants, ' of ', units, ' units saw several variants and ', excluded,
            ' are excluded by declaration; neither counts in the results.'
        ) as detail
    from set_apart
),

checks as (
    select * from sample_ratio
    union all
    select * from units_set_apart
)

select
    experiment_name,
    check_name,
    segment_name,
    segment_value,
    statistic,
    p_value,
    cast(null as double) as e_value,
    status,
    detail
from checks
