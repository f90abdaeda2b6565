{#- Whether an effect differs between the values of a segment: Cochran's Q (1954), adjusted over all
    metrics, treatments and segments of the experiment (Benjamini and Hochberg 1995). -#}
with

-- Q takes variances as known, which those of a few units are not
judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where
        is_final and segment_name != 'all' and adjustment = 'none' and status = 'ok'
        and least(control_units, treatment_units) >= {{ var('pooled_units_minimum') }}
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

pooled as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        segment_name,
        max(alpha) as alpha,
        count(*) as segment_values,
        sum(absolute_effect / effect_variance) / sum(1e0 / effect_variance) as pooled_effect
    from judged
    group by experiment_name, metric_name, treatment_variant, segment_name
),

statistics as (
    select
        pooled.experiment_name,
        pooled.metric_name,
        pooled.treatment_variant,
        pooled.segment_name,
        pooled.alpha,
        pooled.segment_values,
        pooled.pooled_effect,
        cast(pooled.segment_values - 1 as double) as degrees_of_freedom,
        sum(
            (judged.absolute_effect - pooled.pooled_effect)
            * (judged.absolute_effect - pooled.pooled_effect) / judged.effect_variance
        ) as cochran_q
    from pooled
    inner join judged
        on
            pooled.experiment_name = judged.experiment_name
            and pooled.metric_name = judged.metric_name
            and pooled.treatment_variant = judged.treatment_variant
            and pooled.segment_name = judged.segment_name
    where pooled.segment_values > 1
    group by
        pooled.experiment_name, pooled.metric_name, pooled.treatment_variant, pooled.segment_name,
        pooled.alpha, pooled.segment_values, pooled.pooled_effect
),

{{ chi_square_tail(
    'statistics', 'cochran_q', 'degrees_of_freedom', output='p_value', name='tails'
) }},

ranked as (
    select
        tails.*,
        count(*) over (partition by experiment_name) as family_size,
        row_number() over (
            partition by experiment_name
            order by p_value, metric_name, treatment_variant, segment_name
        ) as rank_in_family
    from tails
),

adjusted as (
    select
        ranked.*,
        least(
            min(family_size * p_value / rank_in_family) over (
                partition by experiment_name
                order by rank_in_family
                rows between current row and unbounded following
            ),
            1e0
        ) as p_value_adjusted
    from ranked
)

select
    adjusted.experiment_name,
    adjusted.metric_name,
    adjusted.treatment_variant,
    adjusted.segment_name,
    adjusted.segment_values,
    adjusted.pooled_effect,
    adjusted.cochran_q,
    adjusted.degrees_of_freedom,
    greatest(
        (adjusted.cochran_q - adjusted.degrees_of_freedom) / nullif(adjusted.cochran_q, 0e0), 0e0
    ) as heterogeneous_share,
    adjusted.p_value,
    adjusted.p_value_adjusted,
    -- a test for one look, whatever the experiment's inference
    states.is_complete and adjusted.p_value_adjusted <= adjusted.alpha as is_heterogeneous
from adjusted
inner join states
    on adjusted.experiment_name = states.experiment_name
