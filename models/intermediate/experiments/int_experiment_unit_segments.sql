{#- Segments by which an experiment is post-stratified hold each of its units: those without a value
    are a stratum of their own. -#}
with

units as (
    select * from {{ ref('int_experiment_units') }}
),

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
),

segments as (
    select * from {{ ref('stg_declarations__segments') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

first_attributes as (
    select
        units.experiment_name,
        units.unit_id,
        exposures.attributes
    from units
    left join exposures
        on units.first_event_id = exposures.event_id
),

declared as (
    select
        first_attributes.experiment_name,
        first_attributes.unit_id,
        segments.segment_name,
        coalesce(
            nullif(first_attributes.attributes[segments.source_attribute], ''),
            case when segments.segment_name = experiments.stratify_by then 'unknown' end
        ) as segment_value
    from first_attributes
    inner join experiments
        on first_attributes.experiment_name = experiments.experiment_name
    cross join segments
)

select
    experiment_name,
    unit_id,
    'all' as segment_name,
    'all' as segment_value
from units
union all
select
    experiment_name,
    unit_id,
    segment_name,
    segment_value
from declared
where segment_value is not null
