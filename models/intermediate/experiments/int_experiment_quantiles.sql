{#- Quantiles of each arm's events, with the variance of that estimate. Events of a unit hang
    together, so that the share of events below the quantile takes the delta method, and the outer
    order statistics around it give the variance (Deng, Knoblich and Lu 2018). -#}
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
),

counted_events as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.variant,
        unit_segments.segment_name,
        unit_segments.segment_value,
        windows.quantile,
        windows.unit_id,
        events.numerator as value
    from windows
    inner join events
        on
            windows.unit = events.unit
            and windows.unit_id = events.unit_id
            and windows.metric_name = events.metric_name
            and events.occurred_at >= windows.window_start
            and events.occurred_at < windows.window_end
    inner join unit_segments
        on
            windows.experiment_name = unit_segments.experiment_name
            and windows.unit_id = unit_segments.unit_id
),

ranked as (
    select
        counted_events.*,
        row_number() over (
            partition by experiment_name, metric_name, variant, segment_name, segment_value
            order by value
        ) as value_rank,
        count(*) over (
            partition by experiment_name, metric_name, variant, segment_name, segment_value
        ) as events
    from counted_events
),

arms as (
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        segment_name,
        segment_value,
        quantile,
        events,
        count(distinct unit_id) as units,
        sum({{ quantile_share('value', 'value_rank', 'events', 'quantile') }}) as value
    from ranked
    group by
        experiment_name, metric_name, kind, variant, segment_name, segment_value, quantile, events
),

units_below as (
    select
        ranked.experiment_name,
        ranked.metric_name,
        ranked.variant,
        ranked.segment_name,
        ranked.segment_value,
        ranked.unit_id,
        cast(count(*) as double) as events,
        sum(case when ranked.value <= arms.value then 1e0 else 0e0 end) as events_below
    from ranked
    inner join arms
        on
            ranked.experiment_name = arms.experiment_name
            and ranked.metric_name = arms.metric_name
            and ranked.variant = arms.variant
            and ranked.segment_name = arms.segment_name
            and ranked.segment_value = arms.segment_value
    group by
        ranked.experiment_name, ranked.metric_name, ranked.variant, ranked.segment_name,
        ranked.segment_value, ranked.unit_id
),

shares as (
    select
        experiment_name,
        metric_name,
        variant,
        segment_name,
        segment_value,
        count(*) as units,
        sum(events) as events,
        sum(events_below) / sum(events) as share_below,
        sum(events_below * events_below) as below_square_sum,
        sum(events_below * events) as product_sum,
        sum(events * events) as event_square_sum
    from units_below
    group by experiment_name, metric_name, variant, segment_name, segment_value
),

spreads as (
    select
        shares.*,
        sqrt(
            greatest(
                below_square_sum - 2e0 * share_below * product_sum
                + share_below * share_below * event_square_sum,
                0e0
            ) * units / nullif(units - 1e0, 0e0)
        ) / events as share_std_error
    from shares
),

places as (
    select
        arms.*,
        floor(arms.events * (arms.quantile - 1.959963984540054e0 * spreads.share_std_error))
            as lower_rank,
        ceil(arms.events * (arms.quantile + 1.959963984540054e0 * spreads.share_std_error))
            as upper_rank
    from arms
    inner join spreads
        on
            arms.experiment_name = spreads.experiment_name
            and arms.metric_name = spreads.metric_name
            and arms.variant = spreads.variant
            and arms.segment_name = spreads.segment_name
            and arms.segment_value = spreads.segment_value
),

bounds as (
    select
        places.experiment_name,
        places.metric_name,
        places.variant,
        places.segment_name,
        places.segment_value,
        max(case when ranked.value_rank = places.lower_rank then ranked.value end) as lower_value,
        max(case when ranked.value_rank = places.upper_rank then ranked.value end) as upper_value
    from places
    inner join ranked
        on
            places.experiment_name = ranked.experiment_name
            and places.metric_name = ranked.metric_name
            and places.variant = ranked.variant
            and places.segment_name = ranked.segment_name
            and places.segment_value = ranked.segment_value
            and ranked.value_rank in (places.lower_rank, places.upper_rank)
    group by
        places.experiment_name, places.metric_name, places.variant, places.segment_name,
        places.segment_value
)

select
    places.experiment_name,
    places.metric_name,
    places.kind,
    places.variant,
    places.segment_name,
    places.segment_value,
    places.units,
    places.events,
    places.value,
    bounds.lower_value,
    bounds.upper_value,
    -- ranks beyond the first or last event leave the interval open
    (bounds.upper_value - bounds.lower_value) * (bounds.upper_value - bounds.lower_value)
    / 1.5365835282776501e1 as value_variance
from places
left join bounds
    on
        places.experiment_name = bounds.experiment_name
        and places.metric_name = bounds.metric_name
        and places.variant = bounds.variant
        and places.segment_name = bounds.segment_name
        and places.segment_value = bounds.segment_value
