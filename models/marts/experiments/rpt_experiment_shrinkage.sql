{#- Random effects after DerSimonian and Laird (1986): effects of one metric over all experiments or,
    with fewer than three, of all metrics, in the direction that is better. -#}
with

-- a variance of few units is too small by chance, and its effect would draw the others to itself
adjusted as (
    select * from {{ ref('int_experiment_adjusted') }}
    where
        is_final and segment_name = 'all' and status = 'ok' and baseline != 0e0
        and least(control_units, treatment_units) >= {{ var('pooled_units_minimum') }}
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

-- an experiment whose data cannot be trusted says nothing about what experiments usually find
judged as (
    select adjusted.*
    from adjusted
    inner join states
        on
            adjusted.experiment_name = states.experiment_name
            and not states.has_failed_check
),

effects as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        adjustment,
        case when better = 'down' then -1e0 else 1e0 end as direction,
        relative_effect,
        -- the delta method: the baseline is an estimate too
        {{ linearised_variance(
            'relative_effect', 'effect_variance',
            'baseline_covariance * case when baseline < 0e0 then -1e0 else 1e0 end',
            'baseline_variance'
        ) }} / (baseline * baseline) as variance
    from judged
),

counted as (
    select
        effects.*,
        direction * relative_effect as improvement,
        count(*) over (partition by metric_name, adjustment) as metric_effects,
        count(*) over (partition by adjustment) as all_effects
    from effects
    where variance > 0e0
),

pooled as (
    select
        counted.*,
        case when metric_effects >= 3 then 'metric' else 'all_metrics' end as pool,
        case when metric_effects >= 3 then metric_name else 'all' end as pool_key
    from counted
    where metric_effects >= 3 or all_effects >= 3
),

-- a pool of all metrics takes every metric's effects, also those with a pool of their own
members as (
    select
        adjustment,
        metric_name as pool_key,
        improvement,
        variance
    from counted
    where metric_effects >= 3
    union all
    select
        adjustment,
        'all' as pool_key,
        improvement,
        variance
    from counted
    where all_effects >= 3
),

sums as (
    select
        adjustment,
        pool_key,
        count(*) as effects_in_pool,
        sum(1e0 / variance) as weight_sum,
        sum(1e0 / (variance * variance)) as weight_square_sum,
        sum(improvement / variance) / sum(1e0 / variance) as fixed_mean
    from members
    group by adjustment, pool_key
),

heterogeneity as (
    select
        sums.adjustment,
        sums.pool_key,
        max(sums.effects_in_pool) as effects_in_pool,
        sum(
            (members.improvement - sums.fixed_mean) * (members.improvement - sums.fixed_mean)
            / members.variance
        ) as cochran_q,
        max(sums.weight_sum - sums.weight_square_sum / sums.weight_sum) as weight_spread
    from sums
    inner join members
        on
            sums.adjustment = members.adjustment
            and sums.pool_key = members.pool_key
    group by sums.adjustment, sums.pool_key
),

spreads as (
    select
        heterogeneity.*,
        greatest(
            (cochran_q - (effects_in_pool - 1e0)) / nullif(weight_spread, 0e0), 0e0
        ) as between_variance
    from heterogeneity
),

means as (
    select
        spreads.adjustment,
        spreads.pool_key,
        max(spreads.effects_in_pool) as effects_in_pool,
        max(spreads.cochran_q) as cochran_q,
        max(spreads.between_variance) as between_variance,
        sum(members.improvement / (members.variance + spreads.between_variance))
        / sum(1e0 / (members.variance + spreads.between_variance)) as pool_mean,
        1e0 / sum(1e0 / (members.variance + spreads.between_variance)) as pool_mean_variance
    from spreads
    inner join members
        on
            spreads.adjustment = members.adjustment
            and spreads.pool_key = members.pool_key
    group by spreads.adjustment, spreads.pool_key
)

select
    pooled.experiment_name,
    pooled.metric_name,
    pooled.treatment_variant,
    pooled.adjustment,
    pooled.pool,
    means.effects_in_pool,
    pooled.relative_effect,
    sqrt(pooled.variance) as relative_std_error,
    means.cochran_q,
    means.between_variance,
    pooled.direction * means.pool_mean as pool_mean,
    pooled.direction * (
        pooled.improvement * means.between_variance + means.pool_mean * pooled.variance
    ) / (means.between_variance + pooled.variance) as shrunk_relative_effect,
    -- of the effect given the pool, and of the pool's mean, which is an estimate too
    sqrt(
        means.between_variance * pooled.variance / (means.between_variance + pooled.variance)
        + pooled.variance * pooled.variance * means.pool_mean_variance
        / (
            (means.between_variance + pooled.variance)
            * (means.between_variance + pooled.variance)
        )
    ) as shrunk_std_error
from pooled
inner join means
    on
        pooled.adjustment = means.adjustment
        and pooled.pool_key = means.pool_key
