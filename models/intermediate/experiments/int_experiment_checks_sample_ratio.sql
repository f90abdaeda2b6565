{#- Do units split as declared? A fixed test, read once at the end, and a sequential one that may be
    read daily. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

sample_ratios as (
    select * from {{ ref('int_experiment_sample_ratios') }}
    where is_latest
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- an experiment without units has a row too
cells as (
    select
        experiment_name,
        segment_name,
        segment_value
    from sample_ratios
    union
    select
        experiment_name,
        'all' as segment_name,
        'all' as segment_value
    from experiments
),

counted as (
    select
        cells.experiment_name,
        cells.segment_name,
        cells.segment_value,
        coalesce(experiments.ended_at <= as_of.as_of, false) as has_ended,
        coalesce(sample_ratios.units, 0) as units,
        sample_ratios.arms,
        sample_ratios.smallest_expected_units,
        coalesce(sample_ratios.chi_square, 0e0) as chi_square,
        sample_ratios.degrees_of_freedom,
        coalesce(sample_ratios.log_e_value, 0e0) as log_e_value,
        greatest(coalesce(sample_ratios.largest_log_e_value, 0e0), 0e0) as largest_log_e_value
    from cells
    inner join experiments
        on cells.experiment_name = experiments.experiment_name
    cross join as_of
    left join sample_ratios
        on
            cells.experiment_name = sample_ratios.experiment_name
            and cells.segment_name = sample_ratios.segment_name
            and cells.segment_value = sample_ratios.segment_value
),

{{ chi_square_tail(
    'counted', 'chi_square', 'degrees_of_freedom', output='tail', name='tailed'
) }},

fixed as (
    select
        experiment_name,
        'sample_ratio' as check_name,
        segment_name,
        segment_value,
        chi_square as statistic,
        -- below five expected units the chi-square approximation does not hold
        case
            when units = 0 then 1e0
            when smallest_expected_units >= 5e0 then tail
        end as p_value,
        cast(null as double) as log_e_value,
        case
            when units = 0 then 'no_units'
            when degrees_of_freedom = 0e0 then 'one_arm'
            when smallest_expected_units < 5e0 then 'too_few_units'
            when not has_ended then 'running'
            when tail < 1e-3 then 'fail'
            else 'pass'
        end as outcome,
        arms
    from tailed
),

sequential as (
    select
        experiment_name,
        'sample_ratio_sequential' as check_name,
        segment_name,
        segment_value,
        chi_square as statistic,
        exp(-least(largest_log_e_value, 7e2)) as p_value,
        log_e_value,
        case
            when units = 0 then 'no_units'
            when degrees_of_freedom = 0e0 then 'one_arm'
            when largest_log_e_value > ln(1e3) then 'fail'
            else 'pass'
        end as outcome,
        arms
    from counted
),

outcomes as (
    select * from fixed
    union all
    select * from sequential
)

select
    experiment_name,
    check_name,
    segment_name,
    segment_value,
    statistic,
    p_value,
    log_e_value,
    case when outcome in ('pass', 'fail') then outcome else 'not_applicable' end as status,
    case outcome
        when 'no_units' then 'No unit is analysed yet.'
        when 'one_arm' then concat('Only one variant has an allocation: ', arms, '.')
        when 'too_few_units'
            then concat('Too few units to judge: ', arms, '.')
        when 'running'
            then concat(
                'Judged at the end of the experiment; until then read sample_ratio_sequential. ',
                'Units so far: ', arms, '.'
            )
        when 'fail'
            then concat(
                'Units do not split as declared: ', arms,
                '. Look at who is not exposed or not reported in one arm.'
            )
        else concat('Units split as declared: ', arms, '.')
    end as detail
from outcomes
