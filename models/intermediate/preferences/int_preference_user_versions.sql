{#- A version of everything that a user's scores and preferences are made of: the user's own evidence,
    statements and consent, and what the population shows, at past cuts only for users drawn for
    them. -#}
with

users as (
    select * from {{ ref('int_preference_users') }}
),

all_users as (
    select * from {{ ref('dim_users') }}
),

cut_versions as (
    select * from {{ ref('int_preference_cut_versions') }}
),

half_lives as (
    select * from {{ ref('int_preference_half_lives') }}
),

controls as (
    select * from {{ ref('int_preference_controls') }}
),

population as (
    select
        {{ sorted_digest("case when cut = 'now' then version end") }} as now_version,
        {{ sorted_digest('version') }} as all_version
    from cut_versions
),

used_half_lives as (
    select
        {{ sorted_digest("concat_ws('|', dimension, half_life_days, is_half_life_used)") }}
            as version
    from half_lives
),

control_sums as (
    select
        user_id,
        {{ sum_of_checksums(row_checksum(
            "concat_ws('|', event_id, dimension, context, coalesce(value, ''), occurred_at, is_reset)"
        )) }} as checksums
    from controls
    group by user_id
)

select
    users.user_id,
    md5(
        concat_ws(
            '|', users.version, coalesce(used_half_lives.version, ''),
            coalesce(case
                when users.is_sampled then population.all_version
                else population.now_version
            end, ''),
            coalesce(all_users.is_excluded, false), coalesce(control_sums.checksums, '')
        )
    ) as version
from users
cross join population
cross join used_half_lives
left join all_users
    on users.user_id = all_users.user_id
left join control_sums
    on users.user_id = control_sums.user_id
