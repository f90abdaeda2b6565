{#- Days of an experiment on which an arm logged nothing of a kind, beside how many units were to be
    expected: the fewest of the days around it and of the same weekday before and after, or what the
    other arms logged that day at the arm's usual ratio to them, whichever is more. Without the same
    weekday to compare with, a weekend is judged by the other arms alone. -#}
with

activity as (
    select * from {{ ref('int_experiment_activity_daily') }}
),

arm_signals as (
    select distinct
        experiment_name,
        variant,
        signal
    from activity
),

ranges as (
    select
        experiment_name,
        min(event_date) as first_date,
        max(event_date) as last_date
    from activity
    group by experiment_name
),

calendar as (
    select
        experiment_name,
        {{ date_series('first_date', 'last_date') }} as event_date
    from ranges
),

active_days as (
    select
        activity.*,
        row_number() over (
            partition by experiment_name, variant, signal order by event_date
        ) as place,
        lead(units) over (
            partition by experiment_name, variant, signal order by event_date
        ) as next_units
    from activity
),

cells as (
    select
        arm_signals.experiment_name,
        arm_signals.variant,
        arm_signals.signal,
        calendar.event_date,
        coalesce(active_days.units, 0) as units
    from arm_signals
    inner join calendar
        on arm_signals.experiment_name = calendar.experiment_name
    left join active_days
        on
            arm_signals.experiment_name = active_days.experiment_name
            and arm_signals.variant = active_days.variant
            and arm_signals.signal = active_days.signal
            and calendar.event_date = active_days.event_date
),

compared as (
    select
        cells.*,
        count(*) over (partition by experiment_name) as cells,
        count(nullif(units, 0)) over (
            partition by experiment_name, variant, signal order by event_date
        ) as days_before,
        lag(units, 7) over (
            partition by experiment_name, variant, signal order by event_date
        ) as week_before_units,
        lead(units, 7) over (
            partition by experiment_name, variant, signal order by event_date
        ) as week_after_units,
        sum(units) over (partition by experiment_name, signal, event_date) - units
            as others_units,
        sum(units) over (partition by experiment_name, variant, signal) as arm_total,
        sum(units) over (partition by experiment_name, signal) as total,
        -- 1 January 2000 was a Saturday
        {{ days_between("date '2000-01-01'", 'event_date') }} % 7 in (0, 1) as is_weekend
    from cells
),

expected as (
    select
        compared.experiment_name,
        compared.variant,
        compared.signal,
        compared.event_date,
        compared.cells,
        case
            when active_days.next_units is null then 0e0
            when
                compared.is_weekend
                and compared.week_before_units is null
                and compared.week_after_units is null
                then 0e0
            else cast(least(
                active_days.units,
                active_days.next_units,
                coalesce(compared.week_before_units, active_days.units),
                coalesce(compared.week_after_units, active_days.units)
            ) as double)
        end as expected_of_own,
        coalesce(
            cast(compared.others_units as double) * compared.arm_total
            / nullif(compared.total - compared.arm_total, 0),
            0e0
        ) as expected_of_others
    from compared
    left join active_days
        on
            compared.experiment_name = active_days.experiment_name
            and compared.variant = active_days.variant
            and compared.signal = active_days.signal
            and compared.days_before = active_days.place
    where compared.units = 0
)

select
    experiment_name,
    variant,
    signal,
    event_date,
    greatest(expected_of_own, expected_of_others) as expected_units,
    -- nobody comes where so many are expected with exp(-expected), and every day is looked at
    least(cells * exp(-greatest(expected_of_own, expected_of_others)), 1e0) as p_value
from expected
