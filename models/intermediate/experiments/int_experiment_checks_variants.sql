{#- Is every arm there, and are the units that are set apart for seeing several variants harmless?
    They are, as long as they are few and began in each arm as often as its allocation says. -#}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
),

exposure_counts as (
    select * from {{ ref('int_experiment_exposure_counts') }}
),

nameless as (
    select
        experiment_name,
        cast(sum(exposures_without_unit) as bigint) as exposures_without_unit
    from exposure_counts
    where exposures_without_unit > 0
    group by experiment_name
),

unit_counts as (
    select
        experiment_name,
        variant,
        count(*) as units,
        count(case when role = 'analysed' then 1 end) as analysed_units,
        count(case when role = 'several_variants' then 1 end) as several_variants_units,
        count(case when role = 'excluded_unit' then 1 end) as excluded_units,
        count(case when role = 'not_triggered' then 1 end) as not_triggered_units
    from units
    group by experiment_name, variant
),

arms as (
    select
        experiments.experiment_name,
        variants.variant,
        case when variants.allocation > 0e0 then variants.allocation end
        / sum(case when variants.allocation > 0e0 then variants.allocation end) over (
            partition by experiments.experiment_name
        ) as share,
        coalesce(unit_counts.units, 0) as units,
        coalesce(unit_counts.analysed_units, 0) as analysed_units,
        coalesce(unit_counts.several_variants_units, 0) as several_variants_units,
        coalesce(unit_counts.excluded_units, 0) as excluded_units,
        coalesce(unit_counts.not_triggered_units, 0) as not_triggered_units
    from experiments
    left join variants
        on experiments.experiment_name = variants.experiment_name
    left join unit_counts
        on
            variants.experiment_name = unit_counts.experiment_name
            and variants.variant = unit_counts.variant
),

expected as (
    select
        arms.*,
        share * sum(case when share > 0e0 then several_variants_units end) over (
            partition by experiment_name
        ) as expected_several
    from arms
),

summed as (
    select
        experiment_name,
        cast(sum(units) as bigint) as units,
        cast(sum(analysed_units) as bigint) as analysed_units,
        cast(sum(several_variants_units) as bigint) as several_variants_units,
        cast(sum(excluded_units) as bigint) as excluded_units,
        cast(sum(not_triggered_units) as bigint) as not_triggered_units,
        sum(
            (several_variants_units - expected_several) * (several_variants_units - expected_several)
            / nullif(expected_several, 0e0)
        ) as several_chi_square,
        cast(count(share) - 1 as double) as degrees_of_freedom,
        min(expected_several) as smallest_expected_several,
        {{ sorted_list_text("case when share > 0e0 "
            ~ "then concat(variant, ' ', " ~ count_text('several_variants_units') ~ ") end") }}
            as several_arms,
        count(case when share > 0e0 and analysed_units = 0 then 1 end) as missing_arms,
        coalesce(sum(case when analysed_units = 0 then share end), 0e0) as missing_share,
        {{ sorted_list_text("case when share > 0e0 and analysed_units = 0 then variant end") }}
            as missing_variants
    from expected
    group by experiment_name
),

{{ chi_square_tail(
    'summed', 'several_chi_square', 'degrees_of_freedom', output='several_tail', name='tailed'
) }},

bias as (
    select
        experiment_name,
        'several_variants_bias' as check_name,
        case when several_variants_units > 0 then several_chi_square end as statistic,
        case when smallest_expected_several >= 5e0 then several_tail end as p_value,
        case
            when smallest_expected_several >= 5e0 and several_tail < 1e-3 then 'fail'
            when smallest_expected_several >= 5e0 and several_tail is not null then 'pass'
            else 'not_applicable'
        end as status,
        case
            when several_variants_units = 0 then 'No unit saw several variants.'
            when smallest_expected_several < 5e0 or several_tail is null
                then concat(
                    'Too few units saw several variants to judge: ',
                    {{ count_text('several_variants_units') }}, ' of ', {{ count_text('units') }}, '.'
                )
            when several_tail < 1e-3
                then concat(
                    'Units that saw several variants began in one more than its allocation says: ',
                    several_arms, '. Setting them apart takes more from one arm. Look at what moves',
                    ' a unit to another variant.'
                )
            else concat(
                'Units that saw several variants began as allocated: ', several_arms, '.'
            )
        end as detail
    from tailed
),

set_apart as (
    select
        summed.experiment_name,
        'units_set_apart' as check_name,
        several_variants_units / nullif(cast(units as double), 0e0) as statistic,
        cast(null as double) as p_value,
        case
            when units = 0 then 'not_applicable'
            when several_variants_units
                > {{ var('several_variants_share_limit') }} * cast(units as double)
                then 'fail'
            else 'pass'
        end as status,
        concat(
            {{ count_text('several_variants_units') }}, ' of ', {{ count_text('units') }},
            ' units saw several variants, ',
            {{ count_text('excluded_units') }}, ' are excluded by declaration and ',
            {{ count_text('not_triggered_units') }},
            ' were never triggered; none of them counts in the results.',
            case
                when nameless.exposures_without_unit is null then ''
                else concat(
                    ' ', {{ count_text('nameless.exposures_without_unit') }}, ' exposures name no ',
                    experiments.unit, ' and count for none. Look at whether what logs them knows it.'
                )
            end,
            case
                when several_variants_units
                    > {{ var('several_variants_share_limit') }} * cast(units as double)
                    then ' Assignment does not stick. Look at the id that it is made by.'
                else ''
            end
        ) as detail
    from summed
    inner join experiments
        on summed.experiment_name = experiments.experiment_name
    left join nameless
        on summed.experiment_name = nameless.experiment_name
),

-- a small arm may be empty by chance: of n units none lands there with (1 - share) ^ n
chances as (
    select
        summed.*,
        case
            when analysed_units = 0 then null
            when missing_arms = 0 then 1e0
            else power(1e0 - missing_share, cast(analysed_units as double))
        end as chance
    from summed
),

missing as (
    select
        experiment_name,
        'missing_arms' as check_name,
        case when analysed_units > 0 then cast(missing_arms as double) end as statistic,
        chance as p_value,
        case
            when analysed_units = 0 then 'not_applicable'
            when missing_arms = 0 then 'pass'
            when chance < 1e-3 then 'fail'
            else 'not_applicable'
        end as status,
        case
            when analysed_units = 0 then 'No unit is analysed yet.'
            when missing_arms = 0 then 'Every variant with an allocation has units.'
            when chance < 1e-3
                then concat(
                    'No unit of ', missing_variants, ' among ', {{ count_text('analysed_units') }},
                    '. Look at whether it is served and its exposure logged under this name.'
                )
            else concat(
                'No unit of ', missing_variants, ' yet, which may be chance among ',
                {{ count_text('analysed_units') }}, '.'
            )
        end as detail
    from chances
)

select * from bias
union all
select * from set_apart
union all
select * from missing
