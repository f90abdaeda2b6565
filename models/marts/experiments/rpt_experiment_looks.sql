{#- Group-sequential tests at their declared looks (Jennison and Turnbull 2000): a look is due when
    the units analysed first reach its share of the planned ones, and the last one at the end at the
    latest. Each bound is a normal quantile, whose tail area the Welch test is held to (their
    section 3.8). Several metrics: bounds at alpha / comparisons, Bonferroni, for a
    bound at one level is not valid at another. The first crossing decides. -#}
with

tests as (
    select * from {{ ref('int_experiment_tests') }}
    where
        inference = 'group_sequential'
        and segment_name = 'all'
        and metric_role != 'exploratory'
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
    where inference = 'group_sequential'
),

bounds as (
    select * from {{ ref('stg_declarations__sequential_bounds') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
    where role != 'exploratory'
),

windows as (
    select * from {{ ref('int_experiment_windows') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

treatments as (
    select
        experiment_name,
        count(*) - 1e0 as treatment_count
    from variants
    group by experiment_name
),

families as (
    select
        experiment_metrics.experiment_name,
        treatments.treatment_count
        * count(case when experiment_metrics.role = 'success' then 1 end) as success_comparisons,
        count(*) as treatment_metrics
    from experiment_metrics
    inner join treatments
        on experiment_metrics.experiment_name = treatments.experiment_name
    group by experiment_metrics.experiment_name, treatments.treatment_count
),

open_windows as (
    select distinct
        experiment_name,
        metric_name
    from windows
    where is_open
),

snapshots as (
    select
        tests.*,
        experiments.bounds,
        families.success_comparisons,
        families.treatment_metrics,
        (tests.control_units + tests.treatment_units) / nullif(tests.tuning_units, 0e0)
            as information_fraction,
        tests.is_final
        and open_windows.metric_name is null
        and coalesce(experiments.ended_at <= as_of.as_of, false) as is_last,
        case when tests.better = 'down' then -1e0 else 1e0 end as direction
    from tests
    inner join experiments
        on tests.experiment_name = experiments.experiment_name
    inner join families
        on tests.experiment_name = families.experiment_name
    cross join as_of
    left join open_windows
        on
            tests.experiment_name = open_windows.experiment_name
            and tests.metric_name = open_windows.metric_name
    where tests.status = 'ok'
),

due as (
    select
        snapshots.experiment_name,
        snapshots.metric_name,
        snapshots.treatment_variant,
        snapshots.adjustment,
        snapshots.as_of_date,
        snapshots.is_final,
        max(bounds.look) as look
    from snapshots
    inner join bounds
        on
            snapshots.bounds = bounds.bounds
            and (
                snapshots.is_last
                -- others have no history: the newest data would be tested at the same look each day
                or snapshots.adjustment in ('none', 'cuped')
                and bounds.information_fraction <= snapshots.information_fraction + 1e-9
            )
    group by
        snapshots.experiment_name,
        snapshots.metric_name,
        snapshots.treatment_variant,
        snapshots.adjustment,
        snapshots.as_of_date,
        snapshots.is_final
),

ordered as (
    select
        due.*,
        coalesce(max(look) over (
            partition by experiment_name, metric_name, treatment_variant, adjustment
            order by is_final, as_of_date
            rows between unbounded preceding and 1 preceding
        ), 0) as looks_before
    from due
),

looks as (
    select
        snapshots.*,
        ordered.look,
        {%- for use in ['interval', 'success', 'deterioration'] %}
        {{ use }}_bounds.critical_value as {{ use }}_bound{{ ',' if not loop.last }}
        {%- endfor %}
    from ordered
    inner join snapshots
        on
            ordered.experiment_name = snapshots.experiment_name
            and ordered.metric_name = snapshots.metric_name
            and ordered.treatment_variant = snapshots.treatment_variant
            and ordered.adjustment = snapshots.adjustment
            and ordered.as_of_date is not distinct from snapshots.as_of_date
            and ordered.is_final = snapshots.is_final
    {%- for use, level in [
        ('interval', 'snapshots.alpha'),
        ('success', 'snapshots.alpha / nullif(snapshots.success_comparisons, 0e0)'),
        ('deterioration', 'snapshots.alpha / snapshots.treatment_metrics'),
    ] %}
    left join bounds as {{ use }}_bounds
        on
            snapshots.bounds = {{ use }}_bounds.bounds
            and ordered.look = {{ use }}_bounds.look
            and {{ use }}_bounds.alpha > {{ level }} * (1e0 - 1e-6)
            and {{ use }}_bounds.alpha < {{ level }} * (1e0 + 1e-6)
    {%- endfor %}
    where ordered.look > ordered.looks_before
),

nominal as (
    select
        looks.*,
        {%- for use in ['interval', 'success', 'deterioration'] %}
        2e0 * {{ normal_tail(use ~ '_bound') }} as {{ use }}_nominal_alpha{{ ',' if not loop.last }}
        {%- endfor %}
    from looks
),

{{ student_t_quantile(
    'nominal', 'interval_nominal_alpha', 'degrees_of_freedom', output='repeated_critical_value',
    name='critical_values'
) }},

{{ fieller_interval(
    'critical_values', 'absolute_effect', 'effect_variance', 'baseline', 'baseline_variance',
    'baseline_covariance', 'repeated_critical_value', output='repeated', name='repeated_intervals'
) }},

crossed as (
    select
        repeated_intervals.*,
        max(
            case
                when
                    metric_role = 'success'
                    and direction * absolute_effect > 0e0
                    and p_value <= success_nominal_alpha
                    then 1
                else 0
            end
        ) over looks_so_far = 1 as is_won,
        max(
            case
                when metric_role = 'success' and p_value <= success_nominal_alpha then 1
                when metric_role != 'success' and p_value <= interval_nominal_alpha then 1
                else 0
            end
        ) over looks_so_far = 1 as is_crossed,
        max(
            case
                when direction * absolute_effect < 0e0 and p_value <= deterioration_nominal_alpha
                    then 1
                else 0
            end
        ) over looks_so_far = 1 as is_deteriorated,
        max(
            case
                when metric_role != 'guardrail' or minimum_effect is null then null
                when better = 'down' and repeated_upper < minimum_effect then 1
                when better = 'up' and repeated_lower > -minimum_effect then 1
                else 0
            end
        ) over looks_so_far = 1 as is_within_margin,
        max(look) over (
            partition by experiment_name, metric_name, treatment_variant, adjustment
        ) = look as is_latest
    from repeated_intervals
    window looks_so_far as (
        partition by experiment_name, metric_name, treatment_variant, adjustment
        order by look
        rows between unbounded preceding and current row
    )
)

select
    experiment_name,
    metric_name,
    metric_role,
    treatment_variant,
    adjustment,
    look,
    coalesce(crossed.as_of_date, cast(as_of.as_of as date)) as as_of_date,
    bounds,
    information_fraction,
    control_units,
    treatment_units,
    absolute_effect,
    relative_effect,
    p_value,
    case when metric_role = 'success' then success_nominal_alpha end as success_nominal_alpha,
    deterioration_nominal_alpha,
    interval_nominal_alpha,
    repeated_lower as repeated_ci_lower,
    repeated_upper as repeated_ci_upper,
    case
        when baseline = 0e0 then 'zero_baseline'
        when repeated_g >= 1e0 then 'weak_denominator'
    end as repeated_missing_reason,
    is_crossed,
    is_won,
    is_deteriorated,
    is_within_margin,
    is_latest
from crossed
cross join as_of
