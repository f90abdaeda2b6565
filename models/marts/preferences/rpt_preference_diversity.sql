with

preferences as (
    select * from {{ ref('dim_user_preferences') }}
),

changes as (
    select * from {{ ref('fct_preference_changes') }}
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where cut = 'quality'
),

changed as (
    select
        changes.dimension,
        changes.context,
        count(distinct changes.user_id) as changed_user_count
    from changes
    inner join cuts
        on changes.changed_on >= cuts.cut_date
    group by changes.dimension, changes.context
),

served as (
    select
        dimension,
        context,
        value,
        count(*) as user_count,
        count(case when kind = 'stated' then 1 end) as stated_count,
        count(case when kind = 'inferred' then 1 end) as inferred_count
    from preferences
    group by dimension, context, value
),

totals as (
    select
        dimension,
        context,
        cast(sum(user_count) as bigint) as user_count,
        count(*) as value_count,
        max_by(
            value, concat(lpad(cast(user_count as string), 12, '0'), '|', value)
        ) as top_value,
        max(user_count) as top_count,
        cast(sum(stated_count) as bigint) as stated_count,
        cast(sum(inferred_count) as bigint) as inferred_count,
        {{ exact_sum('user_count * ln(user_count)') }} as log_sum
    from served
    group by dimension, context
)

select
    totals.dimension,
    totals.context,
    totals.user_count,
    totals.value_count,
    exp(ln(totals.user_count) - totals.log_sum / totals.user_count) as effective_value_count,
    totals.top_value,
    totals.top_count / cast(totals.user_count as double) as top_share,
    totals.stated_count / cast(totals.user_count as double) as stated_share,
    totals.inferred_count / cast(totals.user_count as double) as inferred_share,
    (totals.user_count - totals.stated_count - totals.inferred_count)
    / cast(totals.user_count as double) as default_share,
    coalesce(changed.changed_user_count, 0) / cast(totals.user_count as double) as changed_share
from totals
left join changed
    on
        totals.dimension = changed.dimension
        and totals.context = changed.context
