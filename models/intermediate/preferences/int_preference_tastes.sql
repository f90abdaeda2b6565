{#- The learned grouping: what a user likes most in the dimension that says most about the user, other
    than the one that is being predicted, so that nobody's evidence counts twice. -#}
{{ overwrite_by('int_preference_cut_versions', 'cut', ['preference_dimensions']) }}
with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where context = 'all' and population_trials > 0e0 and {{ is_touched('cut') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

favourites as (
    select
        cut,
        user_id,
        dimension,
        {{ exact_sum('population_trials') }} as trials,
        max_by(
            value,
            concat(
                lpad(cast(cast(round(population_successes * 1e6) as bigint) as string), 18, '0'),
                value
            )
        ) as favourite
    from evidence
    group by cut, user_id, dimension
),

ranked as (
    select
        favourites.*,
        row_number() over (
            partition by cut, user_id
            order by trials desc, dimension asc
        ) as position
    from favourites
)

select
    ranked.cut,
    ranked.user_id,
    dimensions.dimension,
    max_by(
        concat(ranked.dimension, '=', ranked.favourite), -ranked.position
    ) as taste
from ranked
inner join dimensions
    on ranked.dimension != dimensions.dimension
where ranked.position <= 2
group by ranked.cut, ranked.user_id, dimensions.dimension
