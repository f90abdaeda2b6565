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
        nullif(first_attributes.attributes[segments.source_attribute], '') as segment_value
    from first_attributes
    cross join segments
),

unknown as (
    select
        first_attributes.experiment_name,
        first_attributes.unit_id,
        segments.segment_name,
        'unknown' as segment_value
    from first_attributes
    inner join experiments
        on first_attributes.experiment_name = experiments.experiment_name
    inner join segments
        on experiments.stratify_by = segments.segment_name
    where nullif(first_attributes.attributes[segments.source_attribute], '') is null
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
union all
select * from unknown
