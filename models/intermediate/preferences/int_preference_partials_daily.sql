{#- Forward decay: weights stand at the end of the partial's own day, so that no number grows without
    bound and partials of any order or split add up to the same. -#}
{{ overwrite_by('int_preference_partial_versions', 'user_part', ['preference_dimensions']) }}
{%- set day_end = add_time('cast(signals.event_date as timestamp)', 1, 'day') %}
with

signals as (
    select * from {{ ref('int_preference_signals') }}
    where {{ is_touched('user_part') }}
),

controls as (
    select * from {{ ref('int_preference_controls') }}
    where is_reset
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

last_resets as (
    select
        user_id,
        dimension,
        event_date,
        max(occurred_at) as reset_at
    from controls
    group by user_id, dimension, event_date
),

weighted as (
    select
        signals.*,
        coalesce(signals.occurred_at <= last_resets.reset_at, false) as is_reset,
        case
            when dimensions.half_life_days is null then 1e0
            else power(
                0.5e0,
                {{ seconds_between('signals.occurred_at', day_end) }}
                / 86400e0 / dimensions.half_life_days
            )
        end as decay
    from signals
    inner join dimensions
        on signals.dimension = dimensions.dimension
    left join last_resets
        on
            signals.user_id = last_resets.user_id
            and signals.dimension = last_resets.dimension
            and signals.event_date = last_resets.event_date
),

partials as (
    select
        user_id,
        dimension,
        context,
        value,
        event_date,
        user_part,
        loaded_date,
        is_reset,
        count(*) as evidence_count,
        count(case when outcome in (0e0, 1e0) then 1 end) as binary_count,
        count(case when outcome = 1e0 then 1 end) as favourable_count,
        {{ exact_sum('weight') }} as trials,
        {{ exact_sum('weight * outcome') }} as successes,
        {{ exact_sum('weight * decay') }} as decayed_trials,
        {{ exact_sum('weight * outcome * decay') }} as decayed_successes,
        min(occurred_at) as first_signal_at,
        max(occurred_at) as last_signal_at,
        max(case when outcome > 0.5e0 then occurred_at end) as last_favourable_at
    from weighted
    group by user_id, dimension, context, value, event_date, user_part, loaded_date, is_reset
)

select
    partials.*,
    {{ row_checksum(
        "concat_ws("
        ~ "'|', user_id, dimension, context, value, event_date, loaded_date, is_reset,"
        ~ " evidence_count, binary_count, favourable_count, trials, successes, decayed_trials,"
        ~ " decayed_successes, first_signal_at, last_signal_at, last_favourable_at)"
    ) }} as checksum
from partials
