{#- Units against the declared allocation, on each day: Pearson's chi-square statistic, and the Bayes
    factor of a Dirichlet prior about the allocation (Lindon and Malek 2022), which may be read
    daily. ln(gamma) is taken apart by Stirling's formula, so that at a million units the large
    parts cancel on paper and not in the last digits. Arms without allocation take no part. -#}
{%- set concentration = 'cast(' ~ var('sample_ratio_prior_concentration') ~ ' as double)' -%}
with

arm_counts as (
    select * from {{ ref('int_experiment_arm_counts') }}
),

allocated as (
    select
        arm_counts.*,
        {{ concentration }} as prior_total,
        cast(sum(units) over (
            partition by experiment_name, segment_name, segment_value, as_of_date
        ) as double) as total_units,
        allocation / sum(allocation) over (
            partition by experiment_name, segment_name, segment_value, as_of_date
        ) as share
    from arm_counts
    where allocation > 0e0
),

arms as (
    select
        allocated.*,
        total_units * share as expected_units,
        prior_total * share as prior_units,
        prior_total * share + units as posterior_units,
        prior_total + total_units as posterior_total,
        -- how far the posterior share is from the declared one, relatively
        (units - total_units * share) / ((prior_total + total_units) * share) as deviation
    from allocated
),

logarithms as (
    select
        arms.*,
        {{ log1p('deviation') }} as log_deviation
    from arms
),

terms as (
    select
        logarithms.*,
        posterior_units * log_deviation - log_deviation / 2e0
        + {{ log_gamma_remainder('posterior_units') }}
        - {{ log_gamma_remainder('prior_units') }} as log_term
    from logarithms
),

summed as (
    select
        experiment_name,
        segment_name,
        segment_value,
        as_of_date,
        max(total_units) as total_units,
        max(prior_total) as prior_total,
        max(posterior_total) as posterior_total,
        min(expected_units) as smallest_expected_units,
        cast(count(*) - 1 as double) as degrees_of_freedom,
        sum(
            (units - expected_units) * (units - expected_units) / nullif(expected_units, 0e0)
        ) as chi_square,
        sum(log_term) as log_terms,
        {{ sorted_list_text("concat(variant, ' ', " ~ count_text('units') ~ ")") }} as arms
    from terms
    group by experiment_name, segment_name, segment_value, as_of_date
),

judged as (
    select
        summed.*,
        log_terms
        - degrees_of_freedom / 2e0 * ln(posterior_total / prior_total)
        + {{ log_gamma_remainder('prior_total') }}
        - {{ log_gamma_remainder('posterior_total') }} as log_e_value
    from summed
)

select
    experiment_name,
    segment_name,
    segment_value,
    as_of_date,
    row_number() over (
        partition by experiment_name, segment_name, segment_value order by as_of_date desc
    ) = 1 as is_latest,
    cast(total_units as bigint) as units,
    arms,
    smallest_expected_units,
    chi_square,
    degrees_of_freedom,
    log_e_value,
    max(log_e_value) over (
        partition by experiment_name, segment_name, segment_value
        order by as_of_date
        rows between unbounded preceding and current row
    ) as largest_log_e_value
from judged
