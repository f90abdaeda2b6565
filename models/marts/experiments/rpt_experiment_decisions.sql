{#- Schultzberg, Ankargren and Frånberg 2024: ship if a success metric wins, every guardrail is not
    worse than its margin, nothing deteriorates and the data can be trusted. -#}
{%- set judged_columns = [
    'success_metrics', 'success_family_size', 'margin_guardrails', 'deterioration_alpha',
    'control_units', 'treatment_units', 'open_windows', 'missing_metrics', 'deciding_adjustments',
    'winning_metrics', 'wins', 'deteriorated_metrics', 'deteriorations', 'failed_guardrails',
    'failures', 'failed_demands', 'kept_guardrails', 'guardrails_without_margin',
    'success_findings', 'unjudged_findings',
] -%}
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

evidence as (
    select * from {{ ref('int_experiment_evidence') }}
),

health as (
    select * from {{ ref('rpt_experiment_health') }}
    where status = 'fail'
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- 95%, but 99.5%
labelled as (
    select
        evidence.*,
        concat(
            case
                when abs(1e2 * alpha - round(1e2 * alpha)) < 1e-9
                    then {{ decimal_text('1e2 - 1e2 * alpha', 0) }}
                else {{ decimal_text('1e2 - 1e2 * alpha', 1) }}
            end,
            '%'
        ) as confidence
    from evidence
),

described as (
    select
        labelled.*,
        concat(
            metric_name,
            case
                when not_judged_reason is not null
                    then concat(
                        case
                            when relative_effect is null then ''
                            else concat(' ', {{ percent_text('relative_effect') }})
                        end,
                        ' (', replace(not_judged_reason, '_', ' '), ')'
                    )
                when relative_effect is null then ' (no relative effect: control is 0)'
                else concat(
                    ' ', {{ percent_text('relative_effect') }}, ' (',
                    case
                        when deciding_ci_lower is null or deciding_ci_upper is null then 'no bounded '
                        else concat(
                            {{ percent_text('deciding_ci_lower') }}, ' to ',
                            {{ percent_text('deciding_ci_upper') }}, ', '
                        )
                    end,
                    confidence,
                    case deciding_interval
                        when 'always_valid' then ' always-valid interval'
                        when 'repeated' then ' repeated interval'
                        else ' interval'
                    end,
                    -- the interval is of now, the verdict remembers
                    case
                        when deciding_interval in ('always_valid', 'repeated')
                            and (is_win or is_deteriorated)
                            and deciding_ci_lower <= 0e0 and deciding_ci_upper >= 0e0
                            then ', shown at an earlier look)'
                        else ')'
                    end
                )
            end
        ) as finding,
        concat(
            metric_name, case
                when better = 'down' then ' at most ' else ' at least '
            end,
            {{ percent_text("minimum_effect * case when better = 'down' then 1e0 else -1e0 end") }}
        ) as demand
    from labelled
),

-- one row per treatment: what its metrics say together
judged as (
    select
        experiment_name,
        treatment_variant,
        count(case when metric_role = 'success' then 1 end) as success_metrics,
        max(success_family_size) as success_family_size,
        count(case when is_within_margin is not null then 1 end) as margin_guardrails,
        min(deterioration_alpha) as deterioration_alpha,
        max(control_units) as control_units,
        max(treatment_units) as treatment_units,
        {{ sorted_list_text(
            "case when immature_units > 0 "
            ~ "then concat(metric_name, ' (', " ~ count_text('immature_units') ~ ", ' units)') end"
        ) }} as open_windows,
        {{ sorted_list_text(
            "case when not_judged_reason is not null "
            ~ "then concat(metric_name, ' (', replace(not_judged_reason, '_', ' '), ')') end"
        ) }} as missing_metrics,
        {{ sorted_list_text("concat(metric_name, ' (', adjustment, ')')") }} as deciding_adjustments,
        {{ sorted_list_text("case when is_win then metric_name end") }} as winning_metrics,
        {{ sorted_list_text("case when is_win then finding end") }} as wins,
        {{ sorted_list_text("case when is_deteriorated then metric_name end") }}
            as deteriorated_metrics,
        {{ sorted_list_text("case when is_deteriorated then finding end") }} as deteriorations,
        {{ sorted_list_text("case when not is_within_margin then metric_name end") }}
            as failed_guardrails,
        {{ sorted_list_text("case when not is_within_margin then finding end") }} as failures,
        {{ sorted_list_text("case when not is_within_margin then demand end") }} as failed_demands,
        {{ sorted_list_text("case when is_within_margin then finding end") }} as kept_guardrails,
        {{ sorted_list_text(
            "case when metric_role = 'guardrail' and is_within_margin is null then metric_name end"
        ) }} as guardrails_without_margin,
        {{ sorted_list_text(
            "case when metric_role = 'success' and not_judged_reason is null then finding end"
        ) }} as success_findings,
        {{ sorted_list_text(
            "case when metric_role = 'success' and not_judged_reason is not null then finding end"
        ) }} as unjudged_findings
    from described
    group by experiment_name, treatment_variant
),

broken as (
    select
        experiment_name,
        {{ sorted_list_text(
            "case
                when segment_name = 'all' then check_name
                else concat(check_name, ' (', segment_name, ' = ', segment_value, ')')
            end"
        ) }} as failed_checks
    from health
    group by experiment_name
),

-- two checks may say the same
details as (
    select distinct
        experiment_name,
        case when segment_name = 'all' then detail end as detail,
        case
            when segment_name != 'all' then concat(segment_name, ' = ', segment_value, ': ', detail)
        end as segment_detail
    from health
),

explained as (
    select
        experiment_name,
        coalesce(
            {{ sorted_list_text('detail', ' ') }}, {{ sorted_list_text('segment_detail', ' ') }}
        ) as details
    from details
    group by experiment_name
),

situations as (
    select
        experiments.experiment_name,
        experiments.control_variant,
        variants.variant as treatment_variant,
        experiments.inference,
        experiments.started_at,
        experiments.ended_at,
        experiments.alpha,
        experiments.power,
        concat(
            ', one-sided at ',
            case
                when abs(1e2 * experiments.alpha - round(1e2 * experiments.alpha)) < 1e-9
                    then {{ decimal_text('1e2 * experiments.alpha', 0) }}
                else {{ decimal_text('1e2 * experiments.alpha', 1) }}
            end,
            '%'
        ) as one_sided_level,
        cast(as_of.as_of as date) as as_of_date,
        coalesce(experiments.started_at > as_of.as_of, false) as is_planned,
        -- at its end, units that entered late may still have open windows
        states.has_ended,
        states.is_complete,
        {%- for column in judged_columns %}
        judged.{{ column }},
        {%- endfor %}
        broken.failed_checks,
        explained.details
    from experiments
    cross join as_of
    inner join states
        on experiments.experiment_name = states.experiment_name
    inner join variants
        on
            experiments.experiment_name = variants.experiment_name
            and experiments.control_variant != variants.variant
    left join judged
        on
            experiments.experiment_name = judged.experiment_name
            and variants.variant = judged.treatment_variant
    left join broken
        on experiments.experiment_name = broken.experiment_name
    left join explained
        on experiments.experiment_name = explained.experiment_name
),

decided as (
    select
        situations.*,
        case
            when failed_checks is not null then 'failed_check'
            when is_planned then 'planned'
            when coalesce(control_units + treatment_units, 0) = 0 and is_complete then 'never_tested'
            when coalesce(control_units + treatment_units, 0) = 0 then 'no_units'
            when inference = 'fixed' and not is_complete then 'not_yet'
            when deteriorated_metrics is not null then 'deteriorated'
            when winning_metrics is not null and failed_guardrails is null then 'won'
            when winning_metrics is not null and is_complete then 'unsafe'
            when winning_metrics is not null then 'unsafe_yet'
            when is_complete then 'no_win'
            else 'no_win_yet'
        end as situation
    from situations
)

select
    experiment_name,
    control_variant,
    treatment_variant,
    as_of_date,
    case situation
        when 'failed_check' then 'invalid'
        when 'won' then 'ship'
        when 'deteriorated' then 'do_not_ship'
        when 'unsafe' then 'do_not_ship'
        when 'no_win' then 'do_not_ship'
        when 'never_tested' then 'do_not_ship'
        else 'keep_running'
    end as decision,
    concat(
        case situation
            when 'failed_check' then concat('The data cannot be trusted. ', details)
            when 'planned'
                then concat('It starts on ', cast(cast(started_at as date) as string), '.')
            when 'no_units' then 'No unit can be analysed yet.'
            when 'never_tested'
                then 'No unit can be analysed though it has ended: look at its exposures and dates.'
            when 'not_yet'
                then case
                    when ended_at is null
                        then 'It is tested once, at its end, and no end is declared.'
                    when has_ended
                        then concat(
                            'It has ended; units whose metric windows are still open: ',
                            open_windows, '. It is tested once, when they have closed.'
                        )
                    else concat(
                        'It is tested once, at its end on ',
                        cast(cast(ended_at as date) as string),
                        '; nothing is called significant before.'
                    )
                end
            when 'deteriorated' then concat('Worse on ', deteriorations, '.')
            when 'won'
                then concat(
                    'Better on ', wins,
                    -- concat skips nulls on one engine and keeps them on the other
                    coalesce(
                        '; within the margin'
                        -- the interval beside it has two sides
                        || case when inference = 'fixed' then one_sided_level else '' end
                        || ': ' || kept_guardrails, ''
                    ),
                    case
                        when missing_metrics is null then '. Nothing is'
                        else '. Nothing that can be judged is'
                    end,
                    ' shown to get worse, and no health check fails.'
                )
            when 'unsafe'
                then concat(
                    'Better on ', wins, ', but more harm than allowed (', failed_demands,
                    ') cannot be ruled out: ', failures, '.'
                )
            when 'unsafe_yet'
                then concat(
                    'Better on ', wins, ', but more harm than allowed (', failed_demands,
                    ') cannot be ruled out yet: ', failures, '.'
                )
            else case
                when coalesce(success_metrics, 0) = 0
                    then 'No success metric is declared, so that nothing can win.'
                else concat(
                    case
                        when success_findings is null then 'No success metric can be judged'
                        when unjudged_findings is null then 'No success metric is better'
                        else 'No success metric that can be judged is better'
                    end,
                    case when is_complete then ': ' else ' yet: ' end,
                    coalesce(success_findings, unjudged_findings), '.'
                )
            end
        end,
        case
            when situation in ('won', 'unsafe', 'unsafe_yet') and guardrails_without_margin is not null
                then concat(
                    ' Without a declared margin, only tested for getting worse: ',
                    guardrails_without_margin, '.'
                )
            else ''
        end,
        case
            when missing_metrics is not null
                and (
                    situation in ('won', 'unsafe', 'unsafe_yet', 'deteriorated')
                    or situation in ('no_win', 'no_win_yet') and success_findings is not null
                )
                then concat(' Not judged: ', missing_metrics, '.')
            else ''
        end
    ) as reason,
    -- a fixed test that is looked at early is no test
    {%- for column in ['winning_metrics', 'failed_guardrails', 'deteriorated_metrics'] %}
    case when inference != 'fixed' or is_complete then {{ column }} end as {{ column }},
    {%- endfor %}
    guardrails_without_margin,
    missing_metrics,
    failed_checks,
    deciding_adjustments,
    inference,
    case inference
        when 'fixed' then 'fixed_horizon'
        when 'group_sequential' then 'repeated'
        else 'always_valid'
    end as deciding_interval,
    is_complete,
    coalesce(control_units, 0) as control_units,
    coalesce(treatment_units, 0) as treatment_units,
    alpha,
    power,
    alpha / nullif(cast(success_family_size as double), 0e0) as success_alpha,
    case when margin_guardrails > 0 then alpha end as non_inferiority_alpha,
    deterioration_alpha,
    1e0 - (1e0 - power) / (coalesce(margin_guardrails, 0) + 1e0) as power_per_test,
    alpha as type_i_error_bound,
    least(1e0 - power + alpha, 1e0) as type_ii_error_bound
from decided
