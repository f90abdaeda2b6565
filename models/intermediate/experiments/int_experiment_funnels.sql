{#- When a unit completed a funnel: every step's event in order, within the metric's window. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

windows as (
    select * from {{ ref('int_experiment_windows') }}
    where kind = 'funnel' and is_mature and {{ is_touched('experiment_name') }}
),

steps as (
    select * from {{ ref('int_metric_steps') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

events as (
    select * from {{ ref('fct_events') }}
    where
        event_name in (select steps.event_name from steps)
        and (unit_id is null or unit_id not in (select excluded.unit_id from excluded))
),

step_events as (
    {%- for unit, column in unit_columns().items() %}
    select
        '{{ unit }}' as unit,
        {{ column }} as unit_id,
        event_name,
        occurred_at
    from events
    where {{ column }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

reached_0 as (
    select
        experiment_name,
        metric_name,
        unit,
        unit_id,
        window_end,
        window_start as reached_at,
        cast(null as string) as event_name,
        cast(0 as bigint) as step_count
    from windows
)

{%- for step in range(1, 6) %},

reached_{{ step }} as (
    select
        reached.experiment_name,
        reached.metric_name,
        reached.unit,
        reached.unit_id,
        reached.window_end,
        min(step_events.occurred_at) as reached_at,
        steps.event_name,
        steps.step_count
    from reached_{{ step - 1 }} as reached
    inner join steps
        on
            reached.metric_name = steps.metric_name
            and steps.step_number = {{ step }}
    -- one event cannot be two steps
    inner join step_events
        on
            reached.unit = step_events.unit
            and reached.unit_id = step_events.unit_id
            and steps.event_name = step_events.event_name
            and step_events.occurred_at >= reached.reached_at
            and (
                step_events.occurred_at > reached.reached_at
                or coalesce(reached.event_name, '') != steps.event_name
            )
            and step_events.occurred_at < reached.window_end
    group by
        reached.experiment_name,
        reached.metric_name,
        reached.unit,
        reached.unit_id,
        reached.window_end,
        steps.event_name,
        steps.step_count
)
{%- endfor %}

{%- for step in range(1, 6) %}

select
    experiment_name,
    metric_name,
    unit_id,
    reached_at as completed_at
from reached_{{ step }}
where step_count = {{ step }}
{{ 'union all' if not loop.last }}
{%- endfor %}
