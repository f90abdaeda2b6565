{#- What each analysed unit did in the metric's covariate window, before its first exposure; no
    history counts as 0 and is counted. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where is_mature and covariate_start is not null and {{ is_touched('experiment_name') }}
),

events as (
    select * from {{ ref('int_experiment_unit_events') }}
),

sums as (
    select
        windows.experiment_name,
        windows.metric_name,
        windows.kind,
        windows.unit_id,
        count(events.occurred_at) > 0 as has_history,
        coalesce(sum(events.numerator), 0e0) as numerator,
        coalesce(sum(events.denominator), 0e0) as denominator
    from windows
    left join events
        on
            windows.unit = events.unit
            and windows.unit_id = events.unit_id
            and windows.metric_name = events.metric_name
            and events.occurred_at >= windows.covariate_start
            and events.occurred_at < windows.first_exposed_at
    group by windows.experiment_name, windows.metric_name, windows.kind, windows.unit_id
)

select
    experiment_name,
    metric_name,
    unit_id,
    has_history,
    case
        when kind in ('proportion', 'retention')
            then case when numerator > 0e0 then 1e0 else 0e0 end
        else numerator
    end as numerator,
    case when kind = 'ratio' then denominator else 1e0 end as denominator
from sums
