{#- Exposures of each experiment's flag by variant, declared or not, before, within and after its
    dates; without excluded units. Those within that name no unit of the experiment's count for none. -#}
with

exposures as (
    select * from {{ ref('int_exposures_merged') }}
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

placed as (
    select
        experiments.experiment_name,
        exposures.variant,
        case experiments.unit
            when 'session' then exposures.session_id
            when 'organization' then exposures.organization_id
            else exposures.unit_id
        end as unit_id,
        case
            when exposures.exposed_at < experiments.started_at then 'before'
            when exposures.exposed_at >= experiments.ended_at then 'after'
            else 'within'
        end as place
    from exposures
    inner join experiments
        on exposures.flag_key = experiments.experiment_name
    left join excluded
        on exposures.unit_id = excluded.unit_id
    where excluded.unit_id is null
),

counted as (
    select
        experiment_name,
        variant,
        count(case when place = 'before' then 1 end) as exposures_before,
        count(case when place = 'within' then 1 end) as exposures_within,
        count(case when place = 'after' then 1 end) as exposures_after,
        count(case when place = 'within' and unit_id is null then 1 end) as exposures_without_unit
    from placed
    group by experiment_name, variant
)

select
    counted.experiment_name,
    counted.variant,
    counted.variant = experiments.control_variant as is_control,
    case
        when variants.variant is null then 'undeclared'
        when variants.allocation > 0e0 then 'allocated'
        else 'unallocated'
    end as declared_as,
    counted.exposures_before,
    counted.exposures_within,
    counted.exposures_after,
    counted.exposures_without_unit
from counted
inner join experiments
    on counted.experiment_name = experiments.experiment_name
left join variants
    on
        counted.experiment_name = variants.experiment_name
        and counted.variant = variants.variant
