{#- What scoring knows of each user, and a version of everything that the user's evidence is made of:
    sums of checksums, as a list of each user's partials would cost more than scoring few users. -#}
with

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
),

users as (
    select * from {{ ref('dim_users') }}
),

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
),

population as (
    select * from {{ ref('int_preference_population') }}
),

resets as (
    select * from {{ ref('int_preference_resets') }}
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

today as (
    select * from cuts
    where cut = 'now'
),

cuts_version as (
    select
        {{ sorted_digest(
            "concat_ws('|', cut, cut_date, coalesce(cast(evidence_until as string), ''),"
            ~ " coalesce(cast(outcomes_until as string), ''),"
            ~ " coalesce(cast(loaded_before as string), ''))"
        ) }} as version
    from cuts
),

partial_sums as (
    select
        partials.user_id,
        {{ sum_of_checksums('partials.checksum') }} as checksums,
        {{ sum_of_checksums(
            'case when coalesce(partials.loaded_date < today.loaded_before, true)'
            ~ ' then partials.checksum end'
        ) }} as population_checksums
    from partials
    cross join today
    group by partials.user_id
),

reset_sums as (
    select
        user_id,
        {{ sum_of_checksums(row_checksum("concat_ws('|', dimension, reset_at)")) }} as checksums,
        {{ sum_of_checksums(
            'case when population_reset_date is not null then '
            ~ row_checksum("concat_ws('|', dimension, population_reset_date)") ~ ' end'
        ) }} as population_checksums
    from resets
    group by user_id
),

all_users as (
    select user_id from users
    union
    select user_id from partial_sums
),

known as (
    select
        all_users.user_id,
        personalizable.user_id is not null as is_personalizable,
        population.user_id is not null as is_population,
        population.user_id is not null and partial_sums.population_checksums is not null
            as is_fitted,
        coalesce(partial_sums.checksums, '') as partials_version,
        partial_sums.population_checksums as population_partials_version,
        coalesce(reset_sums.checksums, '') as resets_version,
        coalesce(reset_sums.population_checksums, '') as population_resets_version
    from all_users
    left join personalizable
        on all_users.user_id = personalizable.user_id
    left join population
        on all_users.user_id = population.user_id
    left join partial_sums
        on all_users.user_id = partial_sums.user_id
    left join reset_sums
        on all_users.user_id = reset_sums.user_id
),

-- the past is judged on enough users rather than all, drawn by hash; today's are drawn tomorrow
drawn as (
    select
        known.*,
        case
            when is_fitted
                then row_number() over (
                    partition by is_fitted
                    order by md5(user_id) asc, user_id asc
                )
        end as sample_position
    from known
)

select
    drawn.user_id,
    drawn.is_personalizable,
    drawn.is_population,
    drawn.is_fitted,
    drawn.sample_position,
    coalesce(drawn.sample_position <= {{ var('preference_quality_users') }}, false) as is_sampled,
    concat(
        coalesce(drawn.population_partials_version, ''), '|', drawn.population_resets_version
    ) as population_version,
    md5(
        concat_ws(
            '|', cuts_version.version, drawn.is_personalizable, drawn.is_population,
            coalesce(drawn.sample_position <= {{ var('preference_quality_users') }}, false),
            drawn.partials_version,
            coalesce(drawn.population_partials_version, ''), drawn.resets_version,
            drawn.population_resets_version
        )
    ) as version
from drawn
cross join cuts_version
