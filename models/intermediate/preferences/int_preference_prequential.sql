{#- Each signal predicted from the user's earlier ones and the other users' prior, which the user's own
    signals are taken out of: nobody is predicted from what is to be predicted. -#}
with

signals as (
    select * from {{ ref('int_preference_signals') }}
    where weight > 0e0
),

sample as (
    select * from {{ ref('int_preference_users') }}
    where sample_position <= {{ var('preference_prequential_users') }}
),

resets as (
    select * from {{ ref('int_preference_resets') }}
),

counted as (
    select
        signals.*,
        {{ order_key('signals.occurred_at', "concat(signals.event_id, signals.signal_name)") }}
            as signal_order
    from signals
    inner join sample
        on signals.user_id = sample.user_id
    left join resets
        on
            signals.user_id = resets.user_id
            and signals.dimension = resets.dimension
    where coalesce(signals.occurred_at > resets.reset_at, true)
),

user_counts as (
    select
        user_id,
        dimension,
        value,
        context,
        {{ exact_sum('weight') }} as trials,
        {{ exact_sum('weight * outcome') }} as successes
    from counted
    group by user_id, dimension, value, context
    union all
    select
        user_id,
        dimension,
        value,
        '' as context,
        {{ exact_sum('weight') }} as trials,
        {{ exact_sum('weight * outcome') }} as successes
    from counted
    group by user_id, dimension, value
),

totals as (
    select
        dimension,
        value,
        context,
        count(*) as user_count,
        {{ exact_sum('trials') }} as trials,
        {{ exact_sum('successes') }} as successes,
        {{ exact_sum('trials * trials') }} as trials_squares,
        {{ exact_sum('successes * successes / trials') }} as weighted_squares
    from user_counts
    group by dimension, value, context
),

others as (
    select
        user_counts.user_id,
        user_counts.dimension,
        user_counts.value,
        user_counts.context,
        totals.user_count - 1 as user_count,
        totals.trials - user_counts.trials as trials,
        totals.successes - user_counts.successes as successes,
        totals.trials_squares - user_counts.trials * user_counts.trials as trials_squares,
        totals.weighted_squares
        - user_counts.successes * user_counts.successes / user_counts.trials as weighted_squares
    from user_counts
    inner join totals
        on
            user_counts.dimension = totals.dimension
            and user_counts.value = totals.value
            and user_counts.context = totals.context
),

priors as (
    select
        others.*,
        case when user_count > 1 then {{ kleinman_correlation(
            'user_count', 'trials', 'successes', 'trials_squares', 'weighted_squares'
        ) }} end as correlation
    from others
),

strengths as (
    select
        priors.*,
        {{ prior_strength(
            'correlation', var('prior_strength_floor'), var('prior_strength_cap')
        ) }} as prior_strength
    from priors
),

-- what the user had done before, in this context and in all
before as (
    select
        counted.user_id,
        counted.dimension,
        counted.value,
        counted.context,
        counted.outcome
        {%- for name, keys in [('user', ''), ('context', ', context')] %}
        {%- for column, expression in [
            ('trials', 'counted.weight'), ('successes', 'counted.weight * counted.outcome')
        ] %},
        coalesce(sum({{ expression }}) over (
            partition by counted.user_id, counted.dimension, counted.value{{ keys }}
            order by counted.signal_order
            rows between unbounded preceding and 1 preceding
        ), 0e0) as {{ name }}_{{ column }}
        {%- endfor %}
        {%- endfor %}
    from counted
),

rates as (
    select
        before.*,
        global_strengths.successes / global_strengths.trials as global_rate,
        global_strengths.prior_strength as user_strength,
        (
            context_strengths.successes
            + {{ var('context_prior_strength') }}
            * global_strengths.successes / global_strengths.trials
        ) / (context_strengths.trials + {{ var('context_prior_strength') }}) as context_rate,
        context_strengths.prior_strength as context_strength
    from before
    inner join strengths as global_strengths
        on
            before.user_id = global_strengths.user_id
            and before.dimension = global_strengths.dimension
            and before.value = global_strengths.value
            and global_strengths.context = ''
    inner join strengths as context_strengths
        on
            before.user_id = context_strengths.user_id
            and before.dimension = context_strengths.dimension
            and before.value = context_strengths.value
            and before.context = context_strengths.context
    where global_strengths.trials > 0e0
),

predicted as (
    select
        user_id,
        dimension,
        outcome,
        {{ clipped_share('global_rate') }} as global_rate,
        {{ clipped_share('context_rate') }} as context_score,
        {{ clipped_share(
            '(user_successes + user_strength * global_rate) / (user_trials + user_strength)'
        ) }} as user_score,
        {{ clipped_share(
            '(context_successes + context_strength * context_rate)'
            ~ ' / (context_trials + context_strength)'
        ) }} as user_context_score
    from rates
)

{%- for model in ['context', 'user', 'user_context'] %}
select
    user_id,
    dimension,
    '{{ model }}' as model,
    cast(count(*) as double) as weight,
    {{ exact_sum(
        '-outcome * ln(' ~ model ~ '_score) - (1e0 - outcome) * ln(1e0 - ' ~ model ~ '_score)'
    ) }} as total,
    {{ exact_sum('-outcome * ln(global_rate) - (1e0 - outcome) * ln(1e0 - global_rate)') }}
        as baseline_total
from predicted
group by user_id, dimension
{{ 'union all' if not loop.last }}
{%- endfor %}
