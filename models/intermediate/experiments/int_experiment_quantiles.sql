{#- Quantiles of each arm's events, with the variance of that estimate. Events of a unit hang
    together, so that the share of events below the quantile takes the delta method, and the outer
    order statistics around it give the variance (Deng, Knoblich and Lu 2018). Quantiles do not
    merge: each day sorts what had happened by its end. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where kind = 'quantile' and is_mature and {{ is_touched('experiment_name') }}
),

events as (
    select * from {{ ref('int_experiment_unit_events') }}
    where numerator is not null
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
    where {{ is_touched('experiment_name') }}
),

counted_events as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.variant,
        windows.quantile,
        windows.unit_id,
        case when windows.has_window then windows.entered_on else cast(events.occurred_at as date) end
            as counted_on,
        events.numerator as value
    from windows
    inner join events
        on
            windows.unit = events.unit
            and windows.unit_id = events.unit_id
            and windows.metric_name = events.metric_name
            and events.occurred_at >= windows.window_start
            and events.occurred_at < windows.window_end
),

arms as (
    select distinct
        experiment_name,
        metric_name,
        kind,
        variant,
        quantile
    from counted_events
),

-- an arm whose units have no event has no quantile, and is there all the same
segment_arms as (
    select distinct
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.variant,
        windows.quantile,
        unit_segments.segment_name,
        unit_segments.segment_value
    from windows
    inner join unit_segments
        on
            windows.experiment_name = unit_segments.experiment_name
            and windows.unit_id = unit_segments.unit_id
),

bounds as (
    select
        experiment_name,
        min(counted_on) as first_date,
        max(counted_on) as last_date
    from counted_events
    group by experiment_name
),

dates as (
    select
        experiment_name,
        {{ date_series('first_date', 'last_date') }} as as_of_date
    from bounds
),

-- what has a quantile: each segment in the end, and all units by the end of each day
named_cells as (
    select
        segment_arms.*,
        cast(null as date) as as_of_date,
        true as is_final
    from segment_arms
    union all
    select
        arms.*,
        'all' as segment_name,
        'all' as segment_value,
        dates.as_of_date,
        false as is_final
    from arms
    inner join dates
        on arms.experiment_name = dates.experiment_name
),

-- a number groups many rows faster than eight names
cells as (
    select
        named_cells.*,
        row_number() over (
            order by
                experiment_name, metric_name, variant, segment_name, segment_value, is_final, as_of_date
        ) as cell_number
    from named_cells
),

cell_events as (
    select
        cells.cell_number,
        counted_events.unit_id,
        counted_events.value
    from counted_events
    inner join unit_segments
        on
            counted_events.experiment_name = unit_segments.experiment_name
            and counted_events.unit_id = unit_segments.unit_id
    inner join cells
        on
            counted_events.experiment_name = cells.experiment_name
            and counted_events.metric_name = cells.metric_name
            and counted_events.variant = cells.variant
            and unit_segments.segment_name = cells.segment_name
            and unit_segments.segment_value = cells.segment_value
    where cells.is_final
    union all
    select
        cells.cell_number,
        counted_events.unit_id,
        counted_events.value
    from counted_events
    inner join cells
        on
            counted_events.experiment_name = cells.experiment_name
            and counted_events.metric_name = cells.metric_name
            and counted_events.variant = cells.variant
            and counted_events.counted_on <= cells.as_of_date
    where not cells.is_final
),

ranked as (
    select
        cell_number,
        value,
        row_number() over (partition by cell_number order by value) as value_rank,
        count(*) over (partition by cell_number) as events
    from cell_events
),

estimated as (
    select
        ranked.cell_number,
        cells.quantile,
        ranked.events,
        sum({{ quantile_share(
            'ranked.value', 'ranked.value_rank', 'ranked.events', 'cells.quantile'
        ) }}) as value
    from ranked
    inner join cells
        on ranked.cell_number = cells.cell_number
    group by ranked.cell_number, cells.quantile, ranked.events
),

units_below as (
    select
        cell_events.cell_number,
        cell_events.unit_id,
        cast(count(*) as double) as events,
        sum(case when cell_events.value <= estimated.value then 1e0 else 0e0 end) as events_below
    from cell_events
    inner join estimated
        on cell_events.cell_number = estimated.cell_number
    group by cell_events.cell_number, cell_events.unit_id
),

shares as (
    select
        cell_number,
        count(*) as units,
        sum(events) as events,
        sum(events_below) / sum(events) as share_below,
        sum(events_below * events_below) as below_square_sum,
        sum(events_below * events) as product_sum,
        sum(events * events) as event_square_sum
    from units_below
    group by cell_number
),

spreads as (
    select
        shares.*,
        sqrt(
            greatest(
                {{ linearised_variance(
                    'share_below', 'below_square_sum', 'product_sum', 'event_square_sum'
                ) }},
                0e0
            ) * units / nullif(units - 1e0, 0e0)
        ) / events as share_std_error
    from shares
),

places as (
    select
        estimated.cell_number,
        spreads.units,
        estimated.events,
        estimated.value,
        floor(estimated.events * (estimated.quantile - 1.959963984540054e0 * spreads.share_std_error))
            as lower_rank,
        ceil(estimated.events * (estimated.quantile + 1.959963984540054e0 * spreads.share_std_error))
            as upper_rank
    from estimated
    inner join spreads
        on estimated.cell_number = spreads.cell_number
),

between_bounds as (
    select
        places.cell_number,
        ranked.value,
        cast(count(*) as double) as events,
        max(case when ranked.value_rank = places.lower_rank then ranked.value end) as lower_value,
        max(case when ranked.value_rank = places.upper_rank then ranked.value end) as upper_value
    from places
    inner join ranked
        on
            places.cell_number = ranked.cell_number
            and ranked.value_rank between places.lower_rank and places.upper_rank
    group by places.cell_number, ranked.value
),

-- the bounds tell the spread of values that differ. Tied ones are as many as the inverse of the
-- chance that two events between the bounds are equal (Simpson 1949): below three, A/A tests of
-- counts are called significant far too often
ends as (
    select
        cell_number,
        max(lower_value) as lower_value,
        max(upper_value) as upper_value,
        max(events) > 1e0 and 3e0 * sum(events * events) > sum(events) * sum(events)
            as has_tied_values
    from between_bounds
    group by cell_number
)

select
    cells.experiment_name,
    cells.metric_name,
    cells.kind,
    cells.variant,
    cells.segment_name,
    cells.segment_value,
    cells.as_of_date,
    cells.is_final,
    coalesce(places.units, 0) as units,
    coalesce(places.events, 0) as events,
    places.value,
    ends.lower_value,
    ends.upper_value,
    coalesce(ends.has_tied_values, false) as has_tied_values,
    -- ranks beyond the first or last event leave the interval open
    (ends.upper_value - ends.lower_value) * (ends.upper_value - ends.lower_value)
    / 1.5365835282776501e1 as value_variance
from cells
left join places
    on cells.cell_number = places.cell_number
left join ends
    on cells.cell_number = ends.cell_number
where cells.is_final or places.cell_number is not null
