{#- Several comparisons at once. Success metrics x treatments of an experiment: Holm (1979).
    Exploratory metrics and segments: Benjamini and Hochberg (1995), on e-values where looks are
    sequential (Wang and Ramdas 2022). Intervals are widened to match (Benjamini and Yekutieli
    2005), so that they leave 0 out exactly where the adjusted p-value is at most alpha. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

tests as (
    select * from {{ ref('int_experiment_tests') }}
    where {{ is_touched('experiment_name') }}
),

-- the smallest p-value of all looks stays valid; the most evidence of all days gives it
running as (
    select
        tests.*,
        max(log_e_value) over (
            partition by
                experiment_name, metric_name, treatment_variant, segment_name, segment_value,
                adjustment
            order by is_final, as_of_date
            rows between unbounded preceding and current row
        ) as best_log_e_value
    from tests
),

grouped as (
    select
        running.*,
        case
            when log_e_value is null then null
            when best_log_e_value > 0e0 then exp(-least(best_log_e_value, 7e2))
            else 1e0
        end as sequential_p_value,
        case
            when segment_name != 'all' or metric_role = 'exploratory' then 'exploratory'
            when metric_role = 'success' then 'success'
            else metric_role
        end as family
    from running
),

tested as (
    select
        grouped.*,
        case
            when family != 'exploratory' and inference = 'group_sequential' then 'declared_bounds'
            when family = 'success' then 'holm'
            when family = 'exploratory' and inference = 'fixed' then 'benjamini_hochberg'
            when family = 'exploratory' then 'e_bh'
            else 'none'
        end as multiplicity_method,
        case
            when status != 'ok' then null
            when inference = 'fixed' then p_value
            -- its declared bounds say yes or no at their level, and no p-value
            when family != 'exploratory' and inference = 'group_sequential' then null
            when family != 'exploratory' then sequential_p_value
            when log_e_value > 0e0 then exp(-least(log_e_value, 7e2))
            when log_e_value is not null then 1e0
        end as tested_p_value
    from grouped
),

ranked as (
    select
        tested.*,
        row_number() over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_p_value is null
            order by tested_p_value, metric_name, treatment_variant, segment_name, segment_value
        ) as rank_in_family,
        count(tested_p_value) over (
            partition by experiment_name, adjustment, as_of_date, is_final, family
        ) as family_size
    from tested
),

stepped as (
    select
        ranked.*,
        max((family_size - rank_in_family + 1e0) * tested_p_value) over (
            partition by experiment_name, adjustment, as_of_date, is_final, family
            order by rank_in_family
            rows between unbounded preceding and current row
        ) as step_down_p_value,
        min(family_size * tested_p_value / rank_in_family) over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_p_value is null
            order by rank_in_family
            rows between current row and unbounded following
        ) as step_up_p_value
    from ranked
),

adjusted as (
    select
        stepped.*,
        case
            when tested_p_value is null then null
            when multiplicity_method = 'holm' then least(step_down_p_value, 1e0)
            when multiplicity_method = 'none' then tested_p_value
            else least(step_up_p_value, 1e0)
        end as p_value_adjusted
    from stepped
),

counted as (
    select
        adjusted.*,
        sum(case when p_value_adjusted <= alpha then 1e0 else 0e0 end) over (
            partition by experiment_name, adjustment, as_of_date, is_final, family
        ) as rejected_count
    from adjusted
),

widened as (
    select
        counted.*,
        case
            when tested_p_value is null then null
            when multiplicity_method = 'holm'
                then alpha / (family_size - least(rank_in_family, rejected_count + 1e0) + 1e0)
            when multiplicity_method = 'none' then alpha
            else alpha * greatest(rejected_count, 1e0) / family_size
        end as interval_alpha
    from counted
),

{{ student_t_quantile(
    'widened', "case when inference = 'fixed' then interval_alpha end", 'degrees_of_freedom',
    output='fixed_critical_value', name='critical_values'
) }},

matched as (
    select
        critical_values.*,
        case
            when inference = 'fixed' then fixed_critical_value
            else sqrt(2e0 * (mixture + 1e0) / mixture * (ln(mixture + 1e0) / 2e0 - ln(interval_alpha)))
        end as adjusted_critical_value
    from critical_values
)

select
    {{ relation_without_columns('matched', [
        'fixed_critical_value', 'adjusted_critical_value', 'rank_in_family', 'step_down_p_value',
        'step_up_p_value', 'rejected_count', 'best_log_e_value',
    ] | join(', ')) }},
    absolute_effect - adjusted_critical_value * absolute_std_error as adjusted_ci_lower,
    absolute_effect + adjusted_critical_value * absolute_std_error as adjusted_ci_upper
from matched
