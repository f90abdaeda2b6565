{#- One row per user, dimension, context and value: undecayed and decayed evidence that counts now.
    Each signal counts in its own context and in 'all'. -#}
with

signals as (
    select * from {{ ref('int_preference_signals') }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

personalizable as (
    select * from {{ ref('int_users_personalizable') }}
),

resets as (
    select * from {{ ref('int_preference_resets') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

counted as (
    select
        signals.*,
        -- decay stands at the start of the day: within a day nobody's score moves by itself
        case
            when dimensions.half_life_days is null then 1e0
            else power(
                0.5e0,
                greatest({{ days_between('signals.occurred_at', 'as_of.as_of') }}, 0)
                / dimensions.half_life_days
            )
        end as decay
    from signals
    inner join personalizable
        on signals.user_id = personalizable.user_id
    inner join dimensions
        on signals.dimension = dimensions.dimension
    cross join as_of
    left join resets
        on
            signals.user_id = resets.user_id
            and signals.dimension = resets.dimension
    where resets.reset_at is null or signals.occurred_at > resets.reset_at
),

in_contexts as (
    select
        counted.*,
        'all' as surface
    from counted
    union all
    select
        counted.*,
        counted.context as surface
    from counted
    where counted.context != 'all'
)

select
    user_id,
    dimension,
    surface as context,
    value,
    count(*) as evidence_count,
    {{ exact_sum('weight') }} as raw_trials,
    {{ exact_sum('weight * outcome') }} as raw_successes,
    {{ exact_sum('weight * decay') }} as trials,
    {{ exact_sum('weight * outcome * decay') }} as successes,
    max(occurred_at) as last_signal_at
from in_contexts
group by user_id, dimension, surface, value
