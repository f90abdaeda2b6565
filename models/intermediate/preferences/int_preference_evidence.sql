{#- Each signal counts in its own context and in 'all'. Daily partials are brought from the end of
    their day to the start of the cut's; those of that day itself are not decayed yet. -#}
{%- set decay -%}
    power(
        0.5e0,
        ({{ days_between('partials.event_date', 'cuts.cut_date') }} - 1)
        / dimensions.half_life_days
    )
{%- endset %}
{{ overwrite_by('int_preference_users', 'user_id', ['preference_dimensions']) }}
with

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
    where {{ is_touched('user_id') }}
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

users as (
    select * from {{ ref('int_preference_users') }}
    where is_personalizable or is_population
),

resets as (
    select * from {{ ref('int_preference_resets') }}
),

counted as (
    select
        cuts.cut,
        partials.*,
        case
            when dimensions.half_life_days is null then null
            when partials.event_date >= cuts.cut_date then partials.trials
            else partials.decayed_trials * {{ decay }}
        end as trials_now,
        case
            when dimensions.half_life_days is null then null
            when partials.event_date >= cuts.cut_date then partials.successes
            else partials.decayed_successes * {{ decay }}
        end as successes_now,
        users.is_personalizable
        and not partials.is_reset
        and coalesce(partials.event_date >= cast(resets.reset_at as date), true) as is_served,
        users.is_population
        and coalesce(partials.loaded_date < cuts.loaded_before, true)
        and coalesce(
            partials.event_date > resets.population_reset_date
            or (partials.event_date = resets.population_reset_date and not partials.is_reset),
            true
        ) as is_population
    from partials
    inner join users
        on partials.user_id = users.user_id
    inner join cuts
        on coalesce(partials.event_date < cuts.evidence_until, true)
    inner join dimensions
        on partials.dimension = dimensions.dimension
    left join resets
        on
            partials.user_id = resets.user_id
            and partials.dimension = resets.dimension
    -- the past is there to be judged: enough users do
    where
        cuts.cut = 'now'
        or (
            users.is_sampled
            and coalesce(partials.loaded_date < cuts.loaded_before, true)
        )
),

-- the past is judged on what the population is fitted on: within a day the verdict stays
marked as (
    select
        counted.*,
        case when cut = 'now' then is_served else is_population end as is_own
    from counted
    where is_served or is_population
),

surfaces as (
    select true as is_everywhere
    union all
    select false as is_everywhere
),

in_contexts as (
    select
        marked.*,
        case when surfaces.is_everywhere then 'all' else marked.context end as surface
    from marked
    inner join surfaces
        on surfaces.is_everywhere or marked.context != 'all'
)

select
    cut,
    user_id,
    dimension,
    surface as context,
    value,
    cast(sum(case when is_own then evidence_count else 0 end) as bigint) as evidence_count,
    {%- for name, column, condition in [
        ('raw_trials', 'trials', 'is_own'), ('raw_successes', 'successes', 'is_own'),
        ('population_trials', 'trials', 'is_population'),
        ('population_successes', 'successes', 'is_population'),
    ] %}
        {{ binary_sum('case when ' ~ condition ~ ' then ' ~ column ~ ' else 0e0 end') }} as {{ name }},
    {%- endfor %}
    {%- for name in ['trials', 'successes'] %}
        {{ binary_sum('case when is_own then ' ~ name ~ '_now end') }} as decayed_{{ name }},
    {%- endfor %}
    min(case when is_own then first_signal_at end) as first_signal_at,
    max(case when is_own then last_signal_at end) as last_signal_at,
    max(case when is_own then last_favourable_at end) as last_favourable_at
from in_contexts
group by cut, user_id, dimension, surface, value
