{#- Is the flag served within the declared dates only, and only in variants that have a share? What
    serves control alone before the start, or one variant alone after the end (a roll-out), splits
    nobody and is no fault. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

exposure_counts as (
    select * from {{ ref('int_experiment_exposure_counts') }}
),

summed as (
    select
        experiments.experiment_name,
        coalesce(cast(sum(
            case
                when exposure_counts.declared_as != 'undeclared'
                    then exposure_counts.exposures_before + exposure_counts.exposures_within
                        + exposure_counts.exposures_after
            end
        ) as bigint), 0) as declared_exposures,
        coalesce(cast(sum(
            case
                when exposure_counts.declared_as != 'undeclared' and not exposure_counts.is_control
                    then exposure_counts.exposures_before
            end
        ) as bigint), 0) as treated_before,
        coalesce(cast(sum(
            case
                when exposure_counts.declared_as != 'undeclared' then exposure_counts.exposures_after
            end
        ) as bigint), 0) as after_end,
        coalesce(max(
            case
                when exposure_counts.declared_as != 'undeclared' then exposure_counts.exposures_after
            end
        ), 0) as leading_after_end,
        coalesce(cast(sum(exposure_counts.exposures_within) as bigint), 0) as exposures_within,
        coalesce(cast(sum(
            case
                when exposure_counts.declared_as != 'allocated'
                    then exposure_counts.exposures_within
            end
        ) as bigint), 0) as unexpected_within,
        {{ sorted_list_text("case when exposure_counts.declared_as != 'allocated' "
            ~ "and exposure_counts.exposures_within > 0 "
            ~ "then concat(exposure_counts.variant, ' ', "
            ~ count_text('exposure_counts.exposures_within') ~ ", ' (', "
            ~ "exposure_counts.declared_as, ')') end") }} as unexpected_variants
    from experiments
    left join exposure_counts
        on experiments.experiment_name = exposure_counts.experiment_name
    group by experiments.experiment_name
),

shares as (
    select
        summed.*,
        (treated_before + after_end - leading_after_end)
        / nullif(cast(declared_exposures as double), 0e0) as outside_share,
        unexpected_within / nullif(cast(exposures_within as double), 0e0) as unexpected_share
    from summed
),

outside_dates as (
    select
        experiment_name,
        'exposure_outside_dates' as check_name,
        outside_share as statistic,
        cast(null as double) as p_value,
        case
            when outside_share is null then 'not_applicable'
            when outside_share > {{ var('outside_exposure_share_limit') }} then 'fail'
            else 'pass'
        end as status,
        case
            when outside_share is null then 'Nobody was exposed to a declared variant.'
            else concat(
                {{ count_text('treated_before') }}, ' exposures to treatments before the start and ',
                {{ count_text('after_end') }}, ' after the end, of ',
                {{ count_text('declared_exposures') }},
                '; none of them counts.',
                case
                    when outside_share > {{ var('outside_exposure_share_limit') }}
                        then ' Look at the dates in experiments.csv, and at when the flag was split.'
                    else ''
                end
            )
        end as detail
    from shares
),

unexpected as (
    select
        experiment_name,
        'unexpected_variants' as check_name,
        unexpected_share as statistic,
        cast(null as double) as p_value,
        case
            when unexpected_share is null then 'not_applicable'
            when unexpected_share > {{ var('outside_exposure_share_limit') }} then 'fail'
            else 'pass'
        end as status,
        case
            when unexpected_share is null then 'Nobody was exposed within the dates.'
            when unexpected_within = 0 then 'Every exposure is to a variant with an allocation.'
            else concat(
                'Of ', {{ count_text('exposures_within') }},
                ' exposures some are to variants without an allocation: ',
                unexpected_variants,
                case
                    when unexpected_share > {{ var('outside_exposure_share_limit') }}
                        then '. Look at experiment_variants.csv and at what the flag serves.'
                    else '.'
                end
            )
        end as detail
    from shares
)

select * from outside_dates
union all
select * from unexpected
