{#- Did the data arrive, in time and on every day? -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

arrivals as (
    select * from {{ ref('int_experiment_arrivals') }}
),

activity as (
    select * from {{ ref('int_experiment_activity_daily') }}
),

gaps as (
    select * from {{ ref('int_experiment_gaps') }}
),

arm_arrivals as (
    select
        experiment_name,
        variant,
        cast(sum(events) as bigint) as events,
        cast(sum(late_events) as bigint) as late_events
    from arrivals
    group by experiment_name, variant
),

arrived as (
    select
        experiments.experiment_name,
        coalesce(cast(sum(arm_arrivals.events) as bigint), 0) as events,
        coalesce(cast(sum(arm_arrivals.late_events) as bigint), 0) as late_events,
        {{ sorted_list_text(
            "concat(arm_arrivals.variant, ' ', " ~ count_text('arm_arrivals.late_events') ~ ")"
        ) }} as arms
    from experiments
    left join arm_arrivals
        on experiments.experiment_name = arm_arrivals.experiment_name
    group by experiments.experiment_name
),

late_data as (
    select
        experiment_name,
        'late_data_share' as check_name,
        late_events / nullif(cast(events as double), 0e0) as statistic,
        cast(null as double) as p_value,
        case
            when events = 0 then 'not_applicable'
            when late_events > {{ var('late_event_share_limit') }} * cast(events as double)
                then 'fail'
            else 'pass'
        end as status,
        case
            when events = 0 then 'Analysed units have no events yet.'
            when late_events > {{ var('late_event_share_limit') }} * cast(events as double)
                then concat(
                    {{ count_text('late_events') }}, ' of ', {{ count_text('events') }},
                    ' events of analysed units came more than ',
                    '{{ var('late_after_days') }} days late (', arms, '). Look at the delivery, and',
                    ' at whether more is to come.'
                )
            else concat(
                {{ count_text('late_events') }}, ' of ', {{ count_text('events') }},
                ' events of analysed units came more than ',
                '{{ var('late_after_days') }} days late.'
            )
        end as detail
    from arrived
),

gap_lists as (
    select
        experiment_name,
        variant,
        signal,
        count(*) as days,
        {{ sorted_list_text('cast(event_date as string)') }} as dates
    from gaps
    where p_value < 1e-3
    group by experiment_name, variant, signal
),

gap_texts as (
    select
        experiment_name,
        sum(days) as days,
        {{ sorted_list_text("concat(signal, ' of ', variant, ' on ', dates)", '; ') }} as places
    from gap_lists
    group by experiment_name
),

most_expected as (
    select
        experiment_name,
        min(p_value) as p_value
    from gaps
    group by experiment_name
),

observed as (
    select distinct experiment_name
    from activity
),

instrumentation as (
    select
        experiments.experiment_name,
        'instrumentation_gaps' as check_name,
        case
            when observed.experiment_name is not null
                then cast(coalesce(gap_texts.days, 0) as double)
        end as statistic,
        case
            when observed.experiment_name is not null then coalesce(most_expected.p_value, 1e0)
        end as p_value,
        case
            when observed.experiment_name is null then 'not_applicable'
            when gap_texts.days > 0 then 'fail'
            else 'pass'
        end as status,
        case
            when observed.experiment_name is null then 'No unit is analysed yet.'
            when gap_texts.days > 0
                then concat(
                    'Nothing was logged where many units were to be expected: ', gap_texts.places,
                    '. Look at logging and delivery on these days.'
                )
            else 'No day is missing that chance would not explain.'
        end as detail
    from experiments
    left join observed
        on experiments.experiment_name = observed.experiment_name
    left join most_expected
        on experiments.experiment_name = most_expected.experiment_name
    left join gap_texts
        on experiments.experiment_name = gap_texts.experiment_name
)

select * from late_data
union all
select * from instrumentation
