{#- The rows that metrics add up, generated from the metric YAML. -#}
{{ overwrite_by('int_event_date_versions', 'event_date', reads_metrics=true) }}
{%- set touched = is_touched('event_date') %}
{%- set readable = {
    'fct_events': ref('fct_events'),
    'fct_assistant_turns': ref('fct_assistant_turns'),
    'fct_tool_calls': ref('fct_tool_calls'),
    'fct_suggestions': ref('fct_suggestions'),
    'fct_response_events': ref('fct_response_events'),
    'fct_feedback': ref('fct_feedback'),
    'fct_user_activity_daily': ref('fct_user_activity_daily'),
} %}
{%- set definitions = metric_definitions() if execute else [] %}
with

measured as (
    {%- for metric in definitions %}
    {%- for part in metric.parts %}
    {%- if part.model not in readable %}
    {%- do raise_metric_error(metric.name, 'it measures ' ~ part.model ~ '; only '
        ~ readable.keys() | join(', ') ~ ' are kept by event date') %}
    {%- endif %}
    select
        '{{ metric.name }}' as metric_name,
        event_date,
        {{ part.time }} as occurred_at,
        {{ 'user_id as unit_id' if part.model == 'fct_user_activity_daily' else 'unit_id' }},
        {{ 'cast(null as string) as session_id' if part.model == 'fct_user_activity_daily'
            else 'session_id' }},
        {{ 'cast(null as string) as organization_id' if part.model == 'fct_user_activity_daily'
            else 'organization_id' }},
        {{ part.numerator }} as numerator,
        {{ part.denominator }} as denominator
    from {{ readable[part.model] }}
    where {{ part.filter }} and {{ touched }}
    union all
    {%- endfor %}
    {%- endfor %}
    select
        cast(null as string) as metric_name,
        cast(null as date) as event_date,
        cast(null as timestamp) as occurred_at,
        cast(null as string) as unit_id,
        cast(null as string) as session_id,
        cast(null as string) as organization_id,
        cast(null as double) as numerator,
        cast(null as double) as denominator
)

select
    metric_name,
    event_date,
    cast(occurred_at as timestamp) as occurred_at,
    unit_id,
    session_id,
    organization_id,
    numerator,
    denominator
from measured
where metric_name is not null and (numerator is not null or denominator is not null)
-- what a day replaces then lies in one place
order by event_date
