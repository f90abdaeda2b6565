{#- A declared half-life is used only where it predicted what users did next better than none. -#}
with

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

outcomes as (
    select * from {{ ref('int_preference_outcomes') }}
    where cut = 'half_life'
),

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where cut = 'half_life'
),

priors as (
    select * from {{ ref('int_preference_priors') }}
    where cut = 'half_life'
),

predicted as (
    select
        outcomes.user_id,
        outcomes.dimension,
        outcomes.trials,
        outcomes.successes,
        {%- for kind in ['raw', 'decayed'] %}
        {{ clipped_share(
            '(evidence.' ~ kind ~ '_successes + priors.prior_mean * priors.prior_strength)'
            ~ ' / (evidence.' ~ kind ~ '_trials + priors.prior_strength)'
        ) }} as {{ kind }}_score{{ ',' if not loop.last }}
        {%- endfor %}
    from outcomes
    inner join evidence
        on
            outcomes.user_id = evidence.user_id
            and outcomes.dimension = evidence.dimension
            and outcomes.context = evidence.context
            and outcomes.value = evidence.value
    inner join priors
        on
            outcomes.dimension = priors.dimension
            and outcomes.context = priors.context
            and outcomes.value = priors.value
),

user_gains as (
    select
        dimension,
        user_id,
        {{ exact_sum(
            'successes * ln(decayed_score / raw_score)'
            ~ ' + (trials - successes) * ln((1e0 - decayed_score) / (1e0 - raw_score))'
        ) }} as gain,
        {{ exact_sum('trials') }} as weight
    from predicted
    group by dimension, user_id
),

{{ clustered_means('user_gains', 'gain', 'weight', ['dimension'], name='gains') }}

select
    dimensions.dimension,
    dimensions.half_life_days,
    coalesce(gains.user_count, 0) as user_count,
    coalesce(gains.weight, 0e0) as weight,
    gains.mean as gain,
    gains.ci_lower as gain_ci_lower,
    gains.ci_upper as gain_ci_upper,
    dimensions.half_life_days is not null and coalesce(gains.ci_lower > 0e0, false)
        as is_half_life_used
from dimensions
left join gains
    on dimensions.dimension = gains.dimension
