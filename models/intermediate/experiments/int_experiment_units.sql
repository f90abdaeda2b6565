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

events as (
    select * from {{ ref('fct_events') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

-- where the experiment names one, only units with such an event count, and from then on; after the
-- end they would have no time left to do anything in
trigger_events as (
    select
        experiments.experiment_name,
        case experiments.unit
            when 'session' then events.session_id
            when 'organization' then events.organization_id
            else events.unit_id
        end as unit_id,
        events.occurred_at
    from events
    inner join experiments
        on events.event_name = experiments.trigger_event
    left join excluded
        on events.unit_id = excluded.unit_id
    where
        excluded.unit_id is null
        and (experiments.ended_at is null or events.occurred_at < experiments.ended_at)
),

exposed as (
    select
        experiments.experiment_name,
        case experiments.unit
            when 'session' then exposures.session_id
            when 'organization' then exposures.organization_id
            else exposures.unit_id
        end as unit_id,
        exposures.variant,
        exposures.exposed_at,
        exposures.event_id,
        case
            when variants.variant is not null
                then {{ order_key('exposures.exposed_at', 'exposures.event_id') }}
        end as declared_order,
        excluded.unit_id is not null as is_excluded
    from exposures
    inner join experiments
        on exposures.flag_key = experiments.experiment_name
    left join variants
        on
            exposures.flag_key = variants.experiment_name
            and exposures.variant = variants.variant
    left join excluded
        on exposures.unit_id = excluded.unit_id
    where
        (experiments.started_at is null or exposures.exposed_at >= experiments.started_at)
        and (experiments.ended_at is null or exposures.exposed_at < experiments.ended_at)
),

-- of an organization, what excluded users saw and what the others saw are kept apart; a unit enters
-- with a declared variant, but whatever else the flag showed it is a variant too
exposed_units as (
    select
        exposed.experiment_name,
        exposed.unit_id,
        min_by(exposed.variant, exposed.declared_order) as variant,
        min_by(exposed.exposed_at, exposed.declared_order) as first_exposed_at,
        min_by(exposed.event_id, exposed.declared_order) as first_event_id,
        count(*) as exposure_count,
        count(distinct exposed.variant) as variant_count,
        exposed.is_excluded,
        row_number() over (
            partition by exposed.experiment_name, exposed.unit_id order by exposed.is_excluded
        ) as preference
    from exposed
    where exposed.unit_id is not null
    group by exposed.experiment_name, exposed.unit_id, exposed.is_excluded
    having min(exposed.declared_order) is not null
),

first_exposures as (
    select
        experiment_name,
        unit_id,
        variant,
        first_exposed_at,
        first_event_id,
        exposure_count,
        variant_count,
        is_excluded
    from exposed_units
    where preference = 1
),

triggered as (
    select
        first_exposures.experiment_name,
        first_exposures.unit_id,
        min(trigger_events.occurred_at) as triggered_at
    from first_exposures
    inner join trigger_events
        on
            first_exposures.experiment_name = trigger_events.experiment_name
            and first_exposures.unit_id = trigger_events.unit_id
            and trigger_events.occurred_at >= first_exposures.first_exposed_at
    group by first_exposures.experiment_name, first_exposures.unit_id
)

select
    first_exposures.*,
    case
        when experiments.trigger_event is null then first_exposures.first_exposed_at
        else triggered.triggered_at
    end as analysed_from,
    case
        when first_exposures.is_excluded then 'excluded_unit'
        when first_exposures.variant_count > 1 then 'several_variants'
        when experiments.trigger_event is not null and triggered.triggered_at is null
            then 'not_triggered'
        else 'analysed'
    end as role
from first_exposures
inner join experiments
    on first_exposures.experiment_name = experiments.experiment_name
left join triggered
    on
        first_exposures.experiment_name = triggered.experiment_name
        and first_exposures.unit_id = triggered.unit_id
