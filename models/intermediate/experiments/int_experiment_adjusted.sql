{#- Several comparisons at once. Success metrics x treatments of an experiment: Holm (1979), in each
    direction for itself, so that what gets worse frees no alpha for what gets better. Exploratory
    metrics and segments: Benjamini and Hochberg (1995), on e-values where looks are sequential (Wang
    and Ramdas 2022). Intervals are at the level that the step grants, and leave 0 out exactly where
    the adjusted p-value of the same look is at most alpha. They are of now, while sequential p-values
    of deciding metrics remember what was shown: intervals may be intersected only while what they
    cover stays the same (Howard, Ramdas, McAuliffe and Sekhon 2021), and what units do adds up. -#}
with

tests as (
    select * from {{ ref('int_experiment_tests') }}
),

directed as (
    select
        tests.*,
        case when better = 'down' then -absolute_effect else absolute_effect end as improvement
    from tests
),

-- the smallest p-value of all looks stays valid; the most evidence of all days gives it. An interval
-- that leaves 0 out lies on its effect's side, so that each direction has evidence of its own
running as (
    select
        directed.*,
        max(log_e_value) over looks_so_far as best_log_e_value,
        max(case when improvement > 0e0 then log_e_value end) over looks_so_far
            as improvement_log_e_value,
        max(case when improvement < 0e0 then log_e_value end) over looks_so_far
            as harm_log_e_value
    from directed
    window looks_so_far as (
        partition by
            experiment_name, metric_name, treatment_variant, segment_name, segment_value,
            adjustment
        order by is_final, as_of_date
        rows between unbounded preceding and current row
    )
),

grouped as (
    select
        running.*,
        {%- for direction, output in [
            ('best', 'sequential_p_value'),
            ('improvement', 'sequential_improvement_p_value'),
            ('harm', 'sequential_harm_p_value'),
        ] %}
        case
            when log_e_value is null then null
            when {{ direction }}_log_e_value > 0e0
                then exp(-least({{ direction }}_log_e_value, 7e2))
            else 1e0
        end as {{ output }},
        {%- endfor %}
        case
            when inference = 'fixed' then improvement > 0e0
            else coalesce(improvement_log_e_value, -1e300) > coalesce(harm_log_e_value, -1e300)
        end as is_improvement,
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
        end as tested_p_value,
        case when family = 'success' then is_improvement end as tested_direction
    from grouped
),

ranked as (
    select
        tested.*,
        row_number() over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_direction,
                tested_p_value is null
            order by tested_p_value, metric_name, treatment_variant, segment_name, segment_value
        ) as rank_in_family,
        count(tested_p_value) over (
            partition by experiment_name, adjustment, as_of_date, is_final, family
        ) as family_size,
        row_number() over (
            partition by
                adjustment, as_of_date, is_final, family, tested_p_value is null
            order by tested_p_value, experiment_name, metric_name, treatment_variant
        ) as rank_in_programme,
        count(tested_p_value) over (
            partition by adjustment, as_of_date, is_final, family
        ) as programme_size
    from tested
),

stepped as (
    select
        ranked.*,
        max((family_size - rank_in_family + 1e0) * tested_p_value) over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_direction
            order by rank_in_family
            rows between unbounded preceding and current row
        ) as step_down_p_value,
        min(family_size * tested_p_value / rank_in_family) over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_direction,
                tested_p_value is null
            order by rank_in_family
            rows between current row and unbounded following
        ) as step_up_p_value,
        min(programme_size * tested_p_value / rank_in_programme) over (
            partition by adjustment, as_of_date, is_final, family, tested_p_value is null
            order by rank_in_programme
            rows between current row and unbounded following
        ) as programme_step_up_p_value
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
        end as p_value_adjusted,
        case
            when family = 'success' and is_final and tested_p_value is not null
                then least(programme_step_up_p_value, 1e0)
        end as programme_p_value_adjusted
    from stepped
),

counted as (
    select
        adjusted.*,
        sum(case when p_value_adjusted <= alpha then 1e0 else 0e0 end) over (
            partition by
                experiment_name, adjustment, as_of_date, is_final, family, tested_direction
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
            else {{ confidence_sequence_boundary('mixture', 'interval_alpha') }}
        end as adjusted_critical_value
    from critical_values
)

select
    {{ relation_without_columns('matched', [
        'fixed_critical_value', 'adjusted_critical_value', 'rank_in_family', 'rank_in_programme',
        'programme_size', 'step_down_p_value', 'step_up_p_value', 'programme_step_up_p_value',
        'rejected_count', 'tested_p_value', 'tested_direction', 'best_log_e_value',
        'improvement_log_e_value', 'harm_log_e_value', 'improvement', 'is_improvement',
    ] | join(', ')) }},
    absolute_effect - adjusted_critical_value * absolute_std_error as adjusted_ci_lower,
    absolute_effect + adjusted_critical_value * absolute_std_error as adjusted_ci_upper
from matched
