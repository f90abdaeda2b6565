{#- How many analysed units each arm had by the end of each day on which one entered: what the
    sample-ratio tests read. -#}
with

units as (
    select * from {{ ref('int_experiment_units') }}
    where role = 'analysed'
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

entered as (
    select
        units.experiment_name,
        unit_segments.segment_name,
        unit_segments.segment_value,
        cast(units.analysed_from as date) as as_of_date,
        units.variant,
        count(*) as units
    from units
    inner join unit_segments
        on
            units.experiment_name = unit_segments.experiment_name
            and units.unit_id = unit_segments.unit_id
    group by
        units.experiment_name,
        unit_segments.segment_name,
        unit_segments.segment_value,
        cast(units.analysed_from as date),
        units.variant
),

days as (
    select distinct
        experiment_name,
        segment_name,
        segment_value,
        as_of_date
    from entered
)

select
    days.experiment_name,
    days.segment_name,
    days.segment_value,
    days.as_of_date,
    variants.variant,
    variants.allocation,
    cast(
        sum(coalesce(entered.units, 0)) over (
            partition by
                days.experiment_name, days.segment_name, days.segment_value, variants.variant
            order by days.as_of_date
            rows between unbounded preceding and current row
        ) as bigint
    ) as units
from days
inner join variants
    on days.experiment_name = variants.experiment_name
left join entered
    on
        days.experiment_name = entered.experiment_name
        and days.segment_name = entered.segment_name
        and days.segment_value = entered.segment_value
        and days.as_of_date = entered.as_of_date
        and variants.variant = entered.variant
