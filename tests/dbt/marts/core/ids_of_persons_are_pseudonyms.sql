-- Fails if something that is no keyed hash stands where a user, session or organization is named.
{%- set columns = {
    'dim_users': ['user_id'],
    'fct_events': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_assistant_turns': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_tool_calls': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_suggestions': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_response_events': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_feedback': ['user_id', 'session_id', 'organization_id', 'unit_id'],
    'fct_sessions': ['user_id', 'unit_id'],
    'fct_user_activity_daily': ['user_id'],
    'fct_preference_scores': ['user_id'],
    'hot_user_profiles': ['user_id'],
} %}
{%- for model, ids in columns.items() %}
{%- set outer_last = loop.last %}
{%- for id in ids %}
select
    '{{ model }}' as table_name,
    '{{ id }}' as column_name,
    count(*) as row_count
from {{ ref(model) }}
where not {{ matches(id, "'^[0-9a-f]{64}$'") }}
having count(*) > 0
{{ 'union all' if not (outer_last and loop.last) }}
{%- endfor %}
{%- endfor %}
