with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

metrics as (
    select * from {{ ref('int_metrics_declared') }}
),

units as (
    select * from {{ ref('int_experiment_units') }}
),

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where not is_mature
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
),

arrivals as (
    select * from {{ ref('int_experiment_arrivals') }}
),

moments as (
    select * from {{ ref('int_experiment_moments') }}
),

quantiles as (
    select * from {{ ref('int_experiment_quantiles') }}
    where is_final
),

caps as (
    select * from {{ ref('int_experiment_caps') }}
),

judged as (
    select * from {{ ref('int_experiment_adjusted') }}
    where is_final
),

looks as (
    select
        *,
        'all' as segment_name
    from {{ ref('rpt_experiment_looks') }}
    where is_latest
),

states as (
    select * from {{ ref('int_experiment_states') }}
),

programme as (
    select
        *,
        'all' as segment_name
    from {{ ref('int_experiment_programme') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

arms as (
    select
        experiment_name,
        metric_name,
        variant,
        segment_name,
        segment_value,
        units
    from moments
    union all
    select
        experiment_name,
        metric_name,
        variant,
        segment_name,
        segment_value,
        units
    from quantiles
),

immature as (
    select
        windows.experiment_name,
        windows.metric_name,
        unit_segments.segment_name,
        unit_segments.segment_value,
        count(case when windows.is_open then 1 end) as immature_units,
        count(case when not windows.is_open then 1 end) as out_of_time_units
    from windows
    inner join unit_segments
        on
            windows.experiment_name = unit_segments.experiment_name
            and windows.unit_id = unit_segments.unit_id
    group by
        windows.experiment_name, windows.metric_name, unit_segments.segment_name,
        unit_segments.segment_value
),

immature_metrics as (
    select
        experiment_name,
        metric_name
    from immature
    where segment_name = 'all' and immature_units > 0
),

-- every declared comparison has a row, whether or not anybody was exposed
cells as (
    select distinct
        experiment_name,
        metric_name,
        segment_name,
        segment_value
    from arms
    union
    select
        experiment_name,
        metric_name,
        segment_name,
        segment_value
    from immature
    union
    select
        experiment_name,
        metric_name,
        'all' as segment_name,
        'all' as segment_value
    from experiment_metrics
),

comparisons as (
    select
        experiments.experiment_name,
        experiments.control_variant,
        experiments.inference,
        experiments.alpha,
        experiments.stratify_by,
        states.is_complete,
        experiment_metrics.metric_name,
        experiment_metrics.role as metric_role,
        experiment_metrics.minimum_effect,
        variants.variant as treatment_variant,
        metrics.kind,
        metrics.better,
        cells.segment_name,
        cells.segment_value
    from experiments
    inner join states
        on experiments.experiment_name = states.experiment_name
    inner join experiment_metrics
        on experiments.experiment_name = experiment_metrics.experiment_name
    inner join variants
        on
            experiments.experiment_name = variants.experiment_name
            and experiments.control_variant != variants.variant
    inner join cells
        on
            experiment_metrics.experiment_name = cells.experiment_name
            and experiment_metrics.metric_name = cells.metric_name
    left join metrics
        on experiment_metrics.metric_name = metrics.metric_name
),

set_apart as (
    select
        experiment_name,
        count(case when role = 'several_variants' then 1 end) as several_variants_units,
        count(case when role = 'excluded_unit' then 1 end) as excluded_units,
        count(case when role = 'not_triggered' then 1 end) as not_triggered_units
    from units
    group by experiment_name
),

late as (
    select
        experiment_name,
        cast(sum(late_events) as bigint) as late_events
    from arrivals
    group by experiment_name
),

counted as (
    select
        comparisons.*,
        coalesce(controls.units, 0) as control_units,
        coalesce(treatments.units, 0) as treatment_units
    from comparisons
    left join arms as controls
        on
            comparisons.experiment_name = controls.experiment_name
            and comparisons.metric_name = controls.metric_name
            and comparisons.segment_name = controls.segment_name
            and comparisons.segment_value = controls.segment_value
            and comparisons.control_variant = controls.variant
    left join arms as treatments
        on
            comparisons.experiment_name = treatments.experiment_name
            and comparisons.metric_name = treatments.metric_name
            and comparisons.segment_name = treatments.segment_name
            and comparisons.segment_value = treatments.segment_value
            and comparisons.treatment_variant = treatments.variant
)

select
    counted.experiment_name,
    counted.metric_name,
    counted.metric_role,
    counted.control_variant,
    counted.treatment_variant,
    counted.segment_name,
    counted.segment_value,
    coalesce(judged.adjustment, 'none') as adjustment,
    {{ adjustment_chain('judged', 'caps.cap_quantile', 'counted.stratify_by') }} as adjustment_chain,
    cast(as_of.as_of as date) as as_of_date,
    counted.control_units,
    counted.treatment_units,
    {{ experiment_result_columns('judged', var('sequential_units_minimum')) }},
    case
        when coalesce(judged.status, '') != 'ok' then null
        when counted.inference = 'fixed' then 'fixed_horizon'
        when looks.look is not null then 'repeated'
        else 'always_valid'
    end as deciding_interval,
    {%- for end in ['lower', 'upper'] %}
    case
        when coalesce(judged.status, '') != 'ok' then null
        when counted.inference = 'fixed' then judged.relative_ci_{{ end }}
        when looks.look is not null then looks.repeated_ci_{{ end }}
        else judged.sequential_ci_{{ end }}
    end as deciding_ci_{{ end }},
    {%- endfor %}
    case
        when coalesce(judged.status, '') != 'ok' then null
        when counted.inference = 'fixed' then {{ relative_missing_reason('judged') }}
        when looks.look is not null then looks.repeated_missing_reason
        else {{ sequential_missing_reason('judged', var('sequential_units_minimum')) }}
    end as deciding_ci_missing_reason,
    programme.programme_p_value_adjusted,
    programme.programme_method,
    coalesce(judged.is_deciding, true) as is_deciding,
    case
        -- once, when nothing more can come
        when counted.inference = 'fixed'
            and (not counted.is_complete or immature_metrics.metric_name is not null)
            then false
        when judged.multiplicity_method = 'declared_bounds'
            then judged.status = 'ok' and coalesce(looks.is_crossed, false)
        else judged.p_value_adjusted <= counted.alpha
    end as is_significant,
    judged.units_without_history,
    coalesce(immature.immature_units, 0) as immature_units,
    coalesce(immature.out_of_time_units, 0) as out_of_time_units,
    coalesce(set_apart.several_variants_units, 0) as several_variants_units,
    coalesce(set_apart.excluded_units, 0) as excluded_units,
    coalesce(set_apart.not_triggered_units, 0) as not_triggered_units,
    coalesce(late.late_events, 0) as late_events,
    caps.numerator_cap,
    caps.denominator_cap,
    counted.minimum_effect,
    counted.inference,
    counted.alpha,
    counted.better,
    case
        when counted.kind is null then 'metric_not_for_scorecards'
        when judged.status is not null then judged.status
        when immature.immature_units > 0 then 'immature_window'
        when immature.out_of_time_units > 0 then 'out_of_time'
        else 'missing_arm'
    end as status
from counted
cross join as_of
left join judged
    on
        counted.experiment_name = judged.experiment_name
        and counted.metric_name = judged.metric_name
        and counted.treatment_variant = judged.treatment_variant
        and counted.segment_name = judged.segment_name
        and counted.segment_value = judged.segment_value
left join looks
    on
        judged.experiment_name = looks.experiment_name
        and judged.metric_name = looks.metric_name
        and judged.treatment_variant = looks.treatment_variant
        and judged.adjustment = looks.adjustment
        and judged.segment_name = looks.segment_name
left join programme
    on
        judged.experiment_name = programme.experiment_name
        and judged.metric_name = programme.metric_name
        and judged.treatment_variant = programme.treatment_variant
        and judged.adjustment = programme.adjustment
        and judged.segment_name = programme.segment_name
left join immature
    on
        counted.experiment_name = immature.experiment_name
        and counted.metric_name = immature.metric_name
        and counted.segment_name = immature.segment_name
        and counted.segment_value = immature.segment_value
left join immature_metrics
    on
        counted.experiment_name = immature_metrics.experiment_name
        and counted.metric_name = immature_metrics.metric_name
left join late
    on counted.experiment_name = late.experiment_name
left join set_apart
    on counted.experiment_name = set_apart.experiment_name
left join caps
    on
        counted.experiment_name = caps.experiment_name
        and counted.metric_name = caps.metric_name
