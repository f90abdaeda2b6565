{#- Are units in one experiment of a layer at a time, and are those held out left alone? Who is held
    out is known to the assistant alone, so the check is on the share of active units that were
    exposed: it may exceed 1 - holdout_share by chance only (exact binomial tail). -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
    where role != 'excluded_unit'
),

events as (
    select * from {{ ref('fct_events') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

neighbours as (
    select
        experiments.experiment_name,
        others.experiment_name as other_name,
        experiments.ended_at,
        others.ended_at as other_ended_at
    from experiments
    inner join experiments as others
        on
            experiments.layer = others.layer
            and experiments.unit = others.unit
            and experiments.experiment_name != others.experiment_name
            and coalesce(experiments.started_at < others.ended_at, true)
            and coalesce(others.started_at < experiments.ended_at, true)
),

neighbour_counts as (
    select
        experiment_name,
        count(*) as neighbours
    from neighbours
    group by experiment_name
),

-- in both while neither had ended
shared_units as (
    select
        neighbours.experiment_name,
        neighbours.other_name,
        units.unit_id
    from neighbours
    inner join units
        on neighbours.experiment_name = units.experiment_name
    inner join units as other_units
        on
            neighbours.other_name = other_units.experiment_name
            and units.unit_id = other_units.unit_id
    where
        (neighbours.other_ended_at is null or units.first_exposed_at < neighbours.other_ended_at)
        and (neighbours.ended_at is null or other_units.first_exposed_at < neighbours.ended_at)
),

shared_counts as (
    select
        experiment_name,
        count(distinct unit_id) as units
    from shared_units
    group by experiment_name
),

others as (
    select
        experiment_name,
        other_name,
        count(*) as units
    from shared_units
    group by experiment_name, other_name
),

other_lists as (
    select
        experiment_name,
        {{ sorted_list_text("concat(other_name, ' ', " ~ count_text('units') ~ ")") }} as others
    from others
    group by experiment_name
),

layers as (
    select
        experiments.experiment_name,
        'layer_overlap' as check_name,
        case
            when neighbour_counts.neighbours > 0
                then cast(coalesce(shared_counts.units, 0) as double)
        end as statistic,
        cast(null as double) as p_value,
        case
            when neighbour_counts.neighbours is null then 'not_applicable'
            when shared_counts.units > 0 then 'fail'
            else 'pass'
        end as status,
        case
            when experiments.layer is null then 'The experiment is in no layer.'
            when neighbour_counts.neighbours is null
                then concat('No other experiment of layer ', experiments.layer, ' runs meanwhile.')
            when shared_counts.units > 0
                then concat(
                    {{ count_text('shared_counts.units') }},
                    ' units are at the same time in other experiments of layer ',
                    experiments.layer, ': ', other_lists.others,
                    '. Look at how the assistant assigns layers.'
                )
            else concat('No unit is in another experiment of layer ', experiments.layer, '.')
        end as detail
    from experiments
    left join neighbour_counts
        on experiments.experiment_name = neighbour_counts.experiment_name
    left join shared_counts
        on experiments.experiment_name = shared_counts.experiment_name
    left join other_lists
        on experiments.experiment_name = other_lists.experiment_name
),

holdouts as (
    select * from experiments
    where holdout_share > 0e0
),

active_units as (
    select
        holdouts.experiment_name,
        count(distinct case holdouts.unit
            when 'session' then events.session_id
            when 'organization' then events.organization_id
            else events.unit_id
        end) as units
    from holdouts
    inner join events
        on
            (holdouts.started_at is null or holdouts.started_at <= events.occurred_at)
            and (holdouts.ended_at is null or holdouts.ended_at > events.occurred_at)
    left join excluded
        on events.unit_id = excluded.unit_id
    -- who is never counted as exposed would make every holdout look kept
    where excluded.unit_id is null
    group by holdouts.experiment_name
),

exposed_units as (
    select
        experiment_name,
        count(*) as units
    from units
    group by experiment_name
),

exposed_shares as (
    select
        experiments.experiment_name,
        experiments.holdout_share,
        coalesce(active_units.units, 0) as active_units,
        coalesce(exposed_units.units, 0) as exposed_units,
        1e0 - experiments.holdout_share as allowed_share,
        case
            when active_units.units > 0 then cast(exposed_units.units as double)
        end as successes,
        cast(active_units.units - exposed_units.units as double) + 1e0 as failures
    from experiments
    left join active_units
        on experiments.experiment_name = active_units.experiment_name
    left join exposed_units
        on experiments.experiment_name = exposed_units.experiment_name
),

-- P(X >= x) of n units that are exposed with chance q is I_q(x, n - x + 1)
{{ incomplete_beta(
    'exposed_shares', 'allowed_share', 'successes', 'failures', output='tail', name='tailed'
) }},

holdout as (
    select
        experiment_name,
        'holdout' as check_name,
        case
            when holdout_share > 0e0
                then exposed_units / nullif(cast(active_units as double), 0e0)
        end as statistic,
        case when holdout_share > 0e0 then tail end as p_value,
        case
            when not holdout_share > 0e0 or tail is null then 'not_applicable'
            when tail < 1e-3 then 'fail'
            else 'pass'
        end as status,
        case
            when not holdout_share > 0e0 then 'No holdout is declared.'
            when tail is null then 'No unit was exposed yet.'
            when tail < 1e-3
                then concat(
                    {{ count_text('exposed_units') }}, ' of ', {{ count_text('active_units') }},
                    ' active units were exposed, more than the holdout leaves. Look at whether the',
                    ' assistant serves units that are held out.'
                )
            else concat(
                {{ count_text('exposed_units') }}, ' of ', {{ count_text('active_units') }},
                ' active units were exposed, no more than the holdout leaves.'
            )
        end as detail
    from tailed
)

select * from layers
union all
select * from holdout
