-- Fails if a group-sequential experiment could never be decided: without planned units or an end, or
-- without bounds at a level that it tests at (alpha, alpha over its success comparisons, alpha over its
-- deciding metrics). `attune` checks the same before a build.
with

experiments as (
    select * from {{ ref('stg_declarations__experiments') }}
    where inference = 'group_sequential'
),

experiment_metrics as (
    select * from {{ ref('stg_declarations__experiment_metrics') }}
    where role != 'exploratory'
),

variants as (
    select * from {{ ref('stg_declarations__experiment_variants') }}
),

bounds as (
    select * from {{ ref('stg_declarations__sequential_bounds') }}
),

arms as (
    select
        experiment_name,
        count(*) as variant_count
    from variants
    group by experiment_name
),

families as (
    select
        experiment_name,
        count(case when role = 'success' then 1 end) as success_metrics,
        count(*) as deciding_metrics
    from experiment_metrics
    group by experiment_name
),

levels as (
    select
        experiment_name,
        bounds,
        alpha as test_alpha
    from experiments
    union all
    select
        experiments.experiment_name,
        experiments.bounds,
        experiments.alpha / (families.success_metrics * (arms.variant_count - 1e0)) as test_alpha
    from experiments
    inner join families
        on experiments.experiment_name = families.experiment_name
    inner join arms
        on experiments.experiment_name = arms.experiment_name
    where families.success_metrics > 0 and arms.variant_count > 1
    union all
    select
        experiments.experiment_name,
        experiments.bounds,
        experiments.alpha / families.deciding_metrics as test_alpha
    from experiments
    inner join families
        on experiments.experiment_name = families.experiment_name
),

bounded as (
    select distinct
        levels.experiment_name,
        levels.test_alpha
    from levels
    inner join bounds
        on
            levels.bounds = bounds.bounds
            and bounds.alpha > levels.test_alpha * (1e0 - 1e-6)
            and bounds.alpha < levels.test_alpha * (1e0 + 1e-6)
)

select
    'experiments/experiments.csv' as declared_in,
    concat('experiment_name ', experiment_name) as declared_row,
    'group_sequential inference needs planned_units and ended_at' as problem
from experiments
where planned_units is null or ended_at is null
union all
select distinct
    'experiments/experiments.csv' as declared_in,
    concat('experiment_name ', levels.experiment_name) as declared_row,
    concat(
        'its bounds ', coalesce(levels.bounds, '(empty)'), ' have no rows at alpha ',
        cast(levels.test_alpha as string), ' in experiments/sequential_bounds.csv'
    ) as problem
from levels
left join bounded
    on
        levels.experiment_name = bounded.experiment_name
        and levels.test_alpha = bounded.test_alpha
where bounded.experiment_name is null
