{#- Several comparisons at once, by the estimates that decide: CUPED where it could be computed, else
    the raw one. Success metrics x treatments as declared: Holm (1979), in each direction for itself,
    so that what gets worse frees no alpha for what gets better. Exploratory metrics and segments:
    Benjamini and Hochberg (1995), on e-values where looks are sequential (Wang and Ramdas 2022). An
    adjustment that does not decide is tested as if it did, for every metric that has it. Intervals
    are at the level that the step grants, and leave 0 out exactly where the adjusted p-value of the
    same look is at most alpha. They are of now, while sequential p-values
    of deciding metrics remember what was shown: intervals may be intersected only while what they
    cover stays the same (Howard, Ramdas, McAuliffe and Sekhon 2021), and what units do adds up. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

tests as (
    select * from {{ ref('int_experiment_tests') }}
    where {{ is_touched('experiment_name') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

-- what is declared counts, with or without data
arms as (
    select
        experiment_name,
        count(*) as variant_count
    from variants
    group by experiment_name
),

declared_families as (
    select
        experiment_metrics.experiment_name,
        (arms.variant_count - 1) * count(*) as success_comparisons
    from experiment_metrics
    inner join arms
        on experiment_metrics.experiment_name = arms.experiment_name
    where experiment_metrics.role = 'success'
    group by experiment_metrics.experiment_name, arms.variant_count
),

directed as (
    select
        tests.*,
        case when better = 'down' then -absolute_effect else absolute_effect end as improvement,
        case adjustment
            when 'cuped' then status = 'ok'
            when 'none'
                then max(case when adjustment = 'cuped' and status = 'ok' then 1 else 0 end) over (
                    partition by
                        experiment_name, metric_name, treatment_variant, segment_name,
                        segment_value, as_of_date, is_final
                ) = 0
            else false
        end as is_deciding
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

alternatives as (
    select
        tested.*,
        {%- for adjustment in ['none', 'lin', 'post_stratified'] %}
        {%- for scope, columns in [
            ('comparison', 'metric_name, treatment_variant, segment_name, segment_value, family'),
            ('family', 'family'),
        ] %}
        max(
            case
                when adjustment = '{{ adjustment }}' and status = 'ok' and not is_deciding then 1
                else 0
            end
        ) over (
            partition by experiment_name, as_of_date, is_final, {{ columns }}
        ) = 1 as {{ scope }}_has_{{ adjustment }},
        {%- endfor %}
        {%- endfor %}
        case when is_deciding then 'deciding' else adjustment end as family_estimates
    from tested
),

-- where another metric has no such estimate, the one that decides stands in
members as (
    select
        alternatives.*,
        false as is_stand_in
    from alternatives
    {%- for adjustment in ['none', 'lin', 'post_stratified'] %}
    union all
    select
        {{ relation_without_columns('alternatives', 'family_estimates') }},
        '{{ adjustment }}' as family_estimates,
        true as is_stand_in
    from alternatives
    where is_deciding and family_has_{{ adjustment }} and not comparison_has_{{ adjustment }}
    {%- endfor %}
),

ranked as (
    select
        members.*,
        row_number() over (
            partition by
                members.experiment_name, family_estimates, as_of_date, is_final, family,
                tested_direction, tested_p_value is null
            order by tested_p_value, metric_name, treatment_variant, segment_name, segment_value
        ) as rank_in_family,
        case
            when family = 'success' then declared_families.success_comparisons
            else count(tested_p_value) over (
                partition by
                    members.experiment_name, family_estimates, as_of_date, is_final, family
            )
        end as family_size
    from members
    left join declared_families
        on members.experiment_name = declared_families.experiment_name
),

stepped as (
    select
        ranked.*,
        max((family_size - rank_in_family + 1e0) * tested_p_value) over (
            partition by
                experiment_name, family_estimates, as_of_date, is_final, family, tested_direction
            order by rank_in_family
            rows between unbounded preceding and current row
        ) as step_down_p_value,
        min(family_size * tested_p_value / rank_in_family) over (
            partition by
                experiment_name, family_estimates, as_of_date, is_final, family, tested_direction,
                tested_p_value is null
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
            partition by
                experiment_name, family_estimates, as_of_date, is_final, family, tested_direction
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
        'fixed_critical_value', 'adjusted_critical_value', 'rank_in_family', 'step_down_p_value',
        'step_up_p_value', 'rejected_count', 'tested_p_value', 'tested_direction',
        'best_log_e_value', 'improvement_log_e_value', 'harm_log_e_value', 'improvement',
        'is_improvement', 'is_stand_in', 'family_estimates',
        'comparison_has_none', 'comparison_has_lin', 'comparison_has_post_stratified',
        'family_has_none', 'family_has_lin', 'family_has_post_stratified',
    ] | join(', ')) }},
    absolute_effect - adjusted_critical_value * absolute_std_error as adjusted_ci_lower,
    absolute_effect + adjusted_critical_value * absolute_std_error as adjusted_ci_upper
from matched
where not is_stand_in
