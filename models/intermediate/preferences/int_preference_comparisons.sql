{#- One row per user for every number of the quality report: the model's sum, the baseline's, the gain
    (in the model's favour where positive) and the weight. -#}
with

user_metrics as (
    select * from {{ ref('int_preference_user_metrics') }}
),

coverage as (
    select * from {{ ref('int_preference_coverage') }}
),

prequential as (
    select * from {{ ref('int_preference_prequential') }}
),

evidence as (
    select * from {{ ref('int_preference_evidence') }}
    where cut = 'quality' and context = 'all'
),

user_signals as (
    select
        user_id,
        dimension,
        sum(evidence_count) as signal_count
    from evidence
    group by user_id, dimension
),

held_out as (
    select
        served.user_id,
        served.dimension,
        served.metric,
        baselines.model as baseline,
        served.total,
        baselines.total as baseline_total,
        case when served.metric = 'log_loss' then -1e0 else 1e0 end
        * (served.total - baselines.total) as gain,
        served.weight
    from user_metrics as served
    inner join user_metrics as baselines
        on
            served.user_id = baselines.user_id
            and served.dimension = baselines.dimension
            and served.metric = baselines.metric
            and baselines.model != 'served'
    where served.model = 'served'
    union all
    select
        user_id,
        dimension,
        'coverage' as metric,
        'nominal' as baseline,
        count(case when place > 0.05e0 and place < 0.95e0 then 1 end) as total,
        count(*) * 0.9e0 as baseline_total,
        count(case when place > 0.05e0 and place < 0.95e0 then 1 end) - count(*) * 0.9e0 as gain,
        count(*) as weight
    from coverage
    group by user_id, dimension
),

grouped as (
    select
        held_out.*,
        case
            when coalesce(user_signals.signal_count, 0) = 0 then 'cold'
            when user_signals.signal_count < {{ var('preference_heavy_signals') }} then 'warm'
            else 'heavy'
        end as user_group
    from held_out
    left join user_signals
        on
            held_out.user_id = user_signals.user_id
            and held_out.dimension = user_signals.dimension
)

{%- for user_group in ["'all'", 'user_group'] %}
select
    'quality' as cut,
    user_id,
    dimension,
    'served' as model,
    baseline,
    metric,
    {{ user_group }} as user_group,
    total,
    baseline_total,
    gain,
    weight
from grouped
union all
{%- endfor %}
select
    'prequential' as cut,
    user_id,
    dimension,
    model,
    'global_rate' as baseline,
    'log_loss' as metric,
    'all' as user_group,
    total,
    baseline_total,
    baseline_total - total as gain,
    weight
from prequential
