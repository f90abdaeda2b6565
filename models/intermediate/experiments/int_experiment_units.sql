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

identities as (
    select * from {{ ref('int_identities_linked') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

excluded_units as (
    select distinct coalesce(identities.user_id, excluded.pseudonym) as unit_id
    from excluded
    left join identities
        on excluded.pseudonym = identities.pseudonym
),

exposed as (
    select
        experiments.experiment_name,
        case experiments.unit
            when 'session' then exposures.session_id
            when 'organization' then exposures.organization_id
            else exposures.unit_id
        end as unit_id,
        exposures.unit_id as exposed_unit_id,
        exposures.variant,
        exposures.exposed_at,
        exposures.event_id
    from exposures
    inner join experiments
        on exposures.flag_key = experiments.experiment_name
    inner join variants
        on
            exposures.flag_key = variants.experiment_name
            and exposures.variant = variants.variant
    where
        (experiments.started_at is null or exposures.exposed_at >= experiments.started_at)
        and (experiments.ended_at is null or exposures.exposed_at < experiments.ended_at)
),

first_exposures as (
    select
        exposed.experiment_name,
        exposed.unit_id,
        min_by(
            exposed.variant, {{ order_key('exposed.exposed_at', 'exposed.event_id') }}
        ) as variant,
        min(exposed.exposed_at) as first_exposed_at,
        min_by(
            exposed.event_id, {{ order_key('exposed.exposed_at', 'exposed.event_id') }}
        ) as first_event_id,
        count(*) as exposure_count,
        count(distinct exposed.variant) as variant_count,
        max(case when excluded_units.unit_id is not null then 1 else 0 end) = 1 as is_excluded
    from exposed
    left join excluded_units
        on exposed.exposed_unit_id = excluded_units.unit_id
    where exposed.unit_id is not null
    group by exposed.experiment_name, exposed.unit_id
)

select
    first_exposures.*,
    case
        when is_excluded then 'excluded_unit'
        when variant_count > 1 then 'several_variants'
        else 'analysed'
    end as role
from first_exposures
