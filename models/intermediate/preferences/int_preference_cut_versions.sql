{#- Within a day these versions stay, so that nothing is fitted again: what is loaded today does not
    count for the population before tomorrow. -#}
with

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

users as (
    select * from {{ ref('int_preference_users') }}
    where is_fitted
),

declared_segments as (
    select * from {{ ref('int_preference_declared_segments') }}
),

user_sums as (
    select
        {{ sum_of_checksums(
            row_checksum("concat_ws('|', user_id, population_version)")
        ) }} as population_checksums,
        {{ sum_of_checksums(
            'case when is_sampled then '
            ~ row_checksum("concat_ws('|', user_id, population_version)") ~ ' end'
        ) }} as sample_checksums
    from users
),

segment_sums as (
    select
        cut,
        {{ sum_of_checksums(
            row_checksum("concat_ws('|', user_id, segment_name, segment_value)")
        ) }} as checksums
    from declared_segments
    group by cut
)

select
    cuts.cut,
    md5(
        concat_ws(
            '|', cuts.cut_date,
            coalesce(cast(cuts.evidence_until as string), ''),
            coalesce(cast(cuts.outcomes_until as string), ''),
            coalesce(cast(cuts.loaded_before as string), ''),
            coalesce(
                case
                    when cuts.cut = 'now' then user_sums.population_checksums
                    else user_sums.sample_checksums
                end,
                ''
            ),
            coalesce(segment_sums.checksums, ''),
            '{{ var("context_prior_strength") }}',
            '{{ var("prior_strength_cap") }}',
            '{{ var("prior_strength_floor") }}'
        )
    ) as version
from cuts
cross join user_sums
left join segment_sums
    on cuts.cut = segment_sums.cut
