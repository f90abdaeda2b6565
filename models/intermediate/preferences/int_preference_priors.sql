{#- Everyone, then the context, whose rate is drawn to everyone's; strength by weighted moments on
    undecayed counts: on decayed ones it explodes. -#}
{{ overwrite_by('int_preference_cut_versions', 'cut') }}
with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where population_trials > 0e0 and {{ is_touched('cut') }}
),

totals as (
    select
        cut,
        dimension,
        context,
        value,
        count(*) as user_count,
        {{ exact_sum('population_trials') }} as trials,
        {{ exact_sum('population_successes') }} as successes,
        {{ exact_sum('population_trials * population_trials') }} as trials_squares,
        {{ exact_sum('population_successes * population_successes / population_trials') }}
            as weighted_squares
    from evidence
    group by cut, dimension, context, value
),

correlations as (
    select
        totals.*,
        {{ kleinman_correlation(
            'user_count', 'trials', 'successes', 'trials_squares', 'weighted_squares'
        ) }} as correlation
    from totals
),

everyone as (
    select
        cut,
        dimension,
        value,
        successes / trials as everyone_mean
    from totals
    where context = 'all'
)

select
    correlations.cut,
    correlations.dimension,
    correlations.context,
    correlations.value,
    correlations.user_count,
    correlations.trials,
    everyone.everyone_mean,
    case
        when correlations.context = 'all' then everyone.everyone_mean
        else (
            correlations.successes + everyone.everyone_mean * {{ var('context_prior_strength') }}
        ) / (correlations.trials + {{ var('context_prior_strength') }})
    end as prior_mean,
    case when correlations.user_count > 1 then correlations.correlation end as correlation,
    {{ prior_strength(
        'case when correlations.user_count > 1 then correlations.correlation end',
        var('prior_strength_floor'), var('prior_strength_cap')
    ) }} as prior_strength,
    case
        when correlations.user_count < 2 then 'too_few_users'
        when correlations.correlation is null then 'no_variance'
        when correlations.correlation <= 0e0 then 'no_between_user_variance'
        when (1e0 - correlations.correlation) / correlations.correlation
            > {{ var('prior_strength_cap') }} then 'capped'
        when (1e0 - correlations.correlation) / correlations.correlation
            < {{ var('prior_strength_floor') }} then 'floored'
        else 'moments'
    end as prior_kind
from correlations
inner join everyone
    on
        correlations.cut = everyone.cut
        and correlations.dimension = everyone.dimension
        and correlations.value = everyone.value
