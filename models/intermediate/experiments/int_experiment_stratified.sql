{#- The post-stratified estimate: strata weighed by their units in both arms (Miratrix, Sekhon and Yu
    2013), degrees of freedom after Satterthwaite (1946). -#}
{{ config(materialized='view') }}
{%- set sides = ['control', 'treatment'] %}
with

comparisons as (
    select * from {{ ref('int_experiment_comparisons') }}
    where is_final
),

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
),

-- strata: the cells of the segment that the experiment declares, both arms present
strata as (
    select
        comparisons.*,
        comparisons.control_units + comparisons.treatment_units as units
    from comparisons
    inner join experiments
        on
            comparisons.experiment_name = experiments.experiment_name
            and comparisons.segment_name = experiments.stratify_by
),

weighed as (
    select
        strata.*,
        cast(units as double) / sum(units) over pair as weight
    from strata
    window pair as (partition by experiment_name, metric_name, treatment_variant)
),

stratum_totals as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        sum(units) as units,
        min(least(control_units, treatment_units)) as smallest_cell
        {%- for side in sides %},
        sum(weight * {{ side }}_denominator_mean) as {{ side }}_denominator,
        sum(weight * {{ side }}_numerator_mean)
        / nullif(sum(weight * {{ side }}_denominator_mean), 0e0) as {{ side }}_stratified
        {%- endfor %}
    from weighed
    group by experiment_name, metric_name, treatment_variant
),

stratum_variances as (
    select
        weighed.*,
        stratum_totals.units as stratified_units,
        stratum_totals.smallest_cell
        {%- for side in sides %},
        stratum_totals.{{ side }}_stratified,
        {{ linearised_variance(
            'stratum_totals.' ~ side ~ '_stratified', side ~ '_numerator_variance',
            side ~ '_numerator_denominator_covariance', side ~ '_denominator_variance'
        ) }} / nullif(
            stratum_totals.{{ side }}_denominator * stratum_totals.{{ side }}_denominator, 0e0
        ) as {{ side }}_within
        {%- endfor %}
    from weighed
    inner join stratum_totals
        on
            weighed.experiment_name = stratum_totals.experiment_name
            and weighed.metric_name = stratum_totals.metric_name
            and weighed.treatment_variant = stratum_totals.treatment_variant
),

stratum_sums as (
    select
        experiment_name,
        metric_name,
        treatment_variant,
        max(stratified_units) as stratified_units,
        max(smallest_cell) as smallest_cell
        {%- for side in sides %},
        max({{ side }}_stratified) as {{ side }}_stratified,
        sum(weight * weight * {{ side }}_within / {{ side }}_units) as {{ side }}_variance,
        sum(
            weight * weight * {{ side }}_within / {{ side }}_units
            * weight * weight * {{ side }}_within / {{ side }}_units
            / nullif({{ side }}_units - 1e0, 0e0)
        ) as {{ side }}_freedom_part
        {%- endfor %},
        sum(weight * control_within) as control_shared
    from stratum_variances
    group by experiment_name, metric_name, treatment_variant
)

select
    totals.experiment_name,
    totals.metric_name,
    totals.treatment_variant,
    {%- for side in sides %}
    -- a stratum in one arm only, or with one unit of an arm, has no variance to weigh
    case
        when stratum_sums.smallest_cell >= 2
            and stratum_sums.stratified_units = totals.control_units + totals.treatment_units
            then stratum_sums.{{ side }}_stratified
    end as {{ side }}_value,
    case
        when abs(stratum_sums.{{ side }}_variance)
            <= 1e-11 * totals.{{ side }}_value_scale / totals.{{ side }}_units then 0e0
        else stratum_sums.{{ side }}_variance
    end as {{ side }}_variance,
    -- an arm without variance adds nothing to the other's degrees of freedom
    coalesce(
        stratum_sums.{{ side }}_variance * stratum_sums.{{ side }}_variance
        / nullif(stratum_sums.{{ side }}_freedom_part, 0e0),
        totals.{{ side }}_units - 1e0
    ) as {{ side }}_freedom,
    {%- endfor %}
    stratum_sums.control_shared / totals.control_units as control_covariance
from comparisons as totals
inner join stratum_sums
    on
        totals.experiment_name = stratum_sums.experiment_name
        and totals.metric_name = stratum_sums.metric_name
        and totals.treatment_variant = stratum_sums.treatment_variant
where totals.segment_name = 'all'
