{#- The number of units at which the always-valid interval is narrowest, fixed before the start:
    declared, or those that were active in as many days before the start as the experiment runs (28
    while it has no end); where a trigger is declared, those that had it. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

active_days as (
    select * from {{ ref('int_experiment_active_days') }}
),

history as (
    select
        experiments.experiment_name,
        count(distinct active_days.unit_id) as active_units
    from experiments
    inner join active_days
        on
            experiments.unit = active_days.unit
            and coalesce(experiments.trigger_event, '') = active_days.entry_event
            and active_days.event_date < cast(experiments.started_at as date)
            and {{ days_between('active_days.event_date', 'experiments.started_at') }} <= case
                when experiments.ended_at is null then 28
                else {{ days_between('experiments.started_at', 'experiments.ended_at') }}
            end
    group by experiments.experiment_name
),

allocations as (
    select
        experiments.experiment_name,
        variants.variant,
        variants.allocation,
        max(case when variants.variant = experiments.control_variant then variants.allocation end)
            over (partition by experiments.experiment_name) as control_allocation,
        sum(variants.allocation) over (partition by experiments.experiment_name)
            as total_allocation,
        experiments.planned_units,
        experiments.control_variant
    from experiments
    inner join variants
        on experiments.experiment_name = variants.experiment_name
)

select
    allocations.experiment_name,
    allocations.variant as treatment_variant,
    case
        when allocations.planned_units > 0 then 'planned_units'
        when history.active_units > 0 then 'history'
    end as tuning_source,
    -- of all units, those of the two arms compared
    coalesce(nullif(allocations.planned_units, 0), history.active_units)
    * (allocations.allocation + allocations.control_allocation)
    / nullif(allocations.total_allocation, 0e0) as tuning_units
from allocations
left join history
    on allocations.experiment_name = history.experiment_name
where allocations.variant != allocations.control_variant
