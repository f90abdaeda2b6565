{#- Each dimension uses the one segment whose groups differ most beyond chance, or none. -#}
with

counts as (
    select * from {{ ref('int_preference_segment_counts') }}
    where trials > 0e0
),

priors as (
    select * from {{ ref('int_preference_priors') }}
),

totals as (
    select
        cut,
        dimension,
        value,
        segment_name,
        count(*) as group_count,
        {{ exact_sum('trials') }} as trials,
        {{ exact_sum('successes') }} as successes,
        {{ exact_sum('trials * trials') }} as trials_squares,
        {{ exact_sum('successes * successes / trials') }} as weighted_squares
    from counts
    where context = 'all'
    group by cut, dimension, value, segment_name
),

correlations as (
    select
        cut,
        dimension,
        segment_name,
        avg({{ kleinman_correlation(
            'group_count', 'trials', 'successes', 'trials_squares', 'weighted_squares'
        ) }}) as correlation
    from totals
    where group_count > 1
    group by cut, dimension, segment_name
),

ranked as (
    select
        correlations.*,
        {{ prior_strength(
            'correlation', var('prior_strength_floor'), var('prior_strength_cap')
        ) }} as segment_strength,
        row_number() over (
            partition by cut, dimension
            order by correlation desc, segment_name asc
        ) as position
    from correlations
    where correlation > 0e0
)

select
    counts.cut,
    counts.dimension,
    counts.context,
    counts.value,
    counts.segment_name,
    counts.segment_value,
    counts.user_count,
    ranked.segment_strength,
    (counts.successes + priors.prior_mean * ranked.segment_strength)
    / (counts.trials + ranked.segment_strength) as segment_mean
from counts
inner join ranked
    on
        counts.cut = ranked.cut
        and counts.dimension = ranked.dimension
        and counts.segment_name = ranked.segment_name
        and ranked.position = 1
inner join priors
    on
        counts.cut = priors.cut
        and counts.dimension = priors.dimension
        and counts.context = priors.context
        and counts.value = priors.value
