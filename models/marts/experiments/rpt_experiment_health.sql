with

sample_ratio_checks as (
    select * from {{ ref('int_experiment_checks_sample_ratio') }}
),

variant_checks as (
    select * from {{ ref('int_experiment_checks_variants') }}
),

exposure_checks as (
    select * from {{ ref('int_experiment_checks_exposures') }}
),

covariate_checks as (
    select * from {{ ref('int_experiment_checks_covariates') }}
),

data_checks as (
    select * from {{ ref('int_experiment_checks_data') }}
),

layer_checks as (
    select * from {{ ref('int_experiment_checks_layers') }}
),

unsegmented as (
    select * from variant_checks
    union all
    select * from exposure_checks
    union all
    select * from covariate_checks
    union all
    select * from data_checks
    union all
    select * from layer_checks
),

checks as (
    select
        experiment_name,
        check_name,
        segment_name,
        segment_value,
        statistic,
        p_value,
        log_e_value,
        status,
        detail
    from sample_ratio_checks
    union all
    select
        experiment_name,
        check_name,
        'all' as segment_name,
        'all' as segment_value,
        statistic,
        p_value,
        cast(null as double) as log_e_value,
        status,
        detail
    from unsegmented
)

select
    experiment_name,
    check_name,
    segment_name,
    segment_value,
    statistic,
    p_value,
    -- a double holds e-values up to 1e304; the logarithm has no such end
    case when log_e_value is not null then exp(least(log_e_value, 7e2)) end as e_value,
    log_e_value,
    status,
    detail
from checks
