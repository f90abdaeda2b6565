{#- What users did in the days after a cut. -#}
{{ overwrite_by('int_preference_cut_versions', 'cut') }}
with

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
    where not is_reset
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where {{ is_touched('cut') }}
),

users as (
    select * from {{ ref('int_preference_users') }}
    where is_sampled
),

resets as (
    select * from {{ ref('int_preference_resets') }}
)

select
    cuts.cut,
    partials.user_id,
    partials.dimension,
    partials.context,
    partials.value,
    cast(sum(partials.evidence_count) as bigint) as signal_count,
    cast(sum(partials.favourable_count) as bigint) as favourable_count,
    sum(partials.evidence_count) = sum(partials.binary_count) as is_binary,
    {{ exact_sum('partials.trials') }} as trials,
    {{ exact_sum('partials.successes') }} as successes
from partials
inner join cuts
    on
        partials.event_date >= cuts.cut_date
        and partials.event_date < cuts.outcomes_until
        and coalesce(partials.loaded_date < cuts.loaded_before, true)
inner join users
    on partials.user_id = users.user_id
left join resets
    on
        partials.user_id = resets.user_id
        and partials.dimension = resets.dimension
where coalesce(partials.event_date >= cast(resets.population_reset_date as date), true)
group by cuts.cut, partials.user_id, partials.dimension, partials.context, partials.value
having sum(partials.trials) > 0e0
