{#- A user's signals resemble each other and say less than as many of different users: each user
    counts for what the correlation leaves. -#}
{{ overwrite_by('int_preference_cut_versions', 'cut', ['preference_dimensions']) }}
with

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where population_trials > 0e0 and {{ is_touched('cut') }}
),

priors as (
    select * from {{ ref('int_preference_priors') }}
),

user_segments as (
    select * from {{ ref('int_preference_user_segments') }}
    where {{ is_touched('cut') }}
),

effective as (
    select
        evidence.cut,
        evidence.user_id,
        evidence.dimension,
        evidence.context,
        evidence.value,
        evidence.population_trials,
        evidence.population_successes,
        (priors.prior_strength + 1e0)
        / (priors.prior_strength + greatest(evidence.population_trials, 1e0)) as weight
    from evidence
    inner join priors
        on
            evidence.cut = priors.cut
            and evidence.dimension = priors.dimension
            and evidence.context = priors.context
            and evidence.value = priors.value
)

select
    effective.cut,
    effective.dimension,
    effective.context,
    effective.value,
    user_segments.segment_name,
    user_segments.segment_value,
    count(*) as user_count,
    {{ exact_sum('effective.population_trials * effective.weight') }} as trials,
    {{ exact_sum('effective.population_successes * effective.weight') }} as successes
from effective
inner join user_segments
    on
        effective.cut = user_segments.cut
        and effective.user_id = user_segments.user_id
        and effective.dimension = user_segments.dimension
group by
    effective.cut,
    effective.dimension,
    effective.context,
    effective.value,
    user_segments.segment_name,
    user_segments.segment_value
