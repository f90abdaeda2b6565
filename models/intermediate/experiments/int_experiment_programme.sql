{#- Success metrics of all judged experiments as one family, in which a share of at most alpha of what
    is called significant is so by chance: Benjamini and Hochberg (1995) over the p-values of fixed
    tests and, where looks are sequential, 1 over the e-values of now. Of e-values alone that is e-BH,
    which holds under any dependence (Wang and Ramdas 2022). -#}
with

adjusted as (
    select * from {{ ref('int_experiment_adjusted') }}
    where is_final and is_deciding and family = 'success' and status = 'ok'
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

-- bounds that are declared say yes or no and have no p-value
judged as (
    select
        adjusted.experiment_name,
        adjusted.metric_name,
        adjusted.treatment_variant,
        adjusted.adjustment,
        case
            when adjusted.inference = 'fixed' then adjusted.p_value
            when adjusted.inference = 'sequential' and adjusted.log_e_value is not null
                then exp(-greatest(least(adjusted.log_e_value, 7e2), 0e0))
        end as p_value,
        case when adjusted.inference = 'fixed' then 1 else 0 end as is_fixed
    from adjusted
    inner join states
        on adjusted.experiment_name = states.experiment_name
    where not states.has_failed_check and (states.is_complete or adjusted.inference != 'fixed')
),

ranked as (
    select
        judged.*,
        count(*) over () as programme_size,
        max(is_fixed) over () as has_fixed,
        row_number() over (
            order by p_value, experiment_name, metric_name, treatment_variant
        ) as rank_in_programme
    from judged
    where p_value is not null
)

select
    experiment_name,
    metric_name,
    treatment_variant,
    adjustment,
    programme_size,
    case when has_fixed = 1 then 'benjamini_hochberg' else 'e_bh' end as programme_method,
    least(
        min(programme_size * p_value / rank_in_programme) over (
            order by rank_in_programme
            rows between current row and unbounded following
        ),
        1e0
    ) as programme_p_value_adjusted
from ranked
