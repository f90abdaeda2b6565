{#- Preferences as the assistant gets them: what was inferred of users who are held out is left out.
    What they set themselves still holds. -#}
{%- set relation = ref('dim_user_preferences') %}
{%- set names = [
    'user_id', 'dimension', 'context', 'value', 'kind', 'score', 'score_lower', 'score_upper',
    'evidence_count', 'reason', 'valid_from'
] %}
{%- if execute and load_relation(relation) is not none %}
    {%- set names = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
{%- endif %}
{%- set kept = ['user_id', 'dimension', 'context', 'evidence_count'] %}
{%- set replaced = {
    'value': 'default_value',
    'kind': "'default'",
    'reason': "'Default: you are in the group that is served defaults to measure what personalization does.'"
} %}
with

preferences as (
    select * from {{ relation }}
),

dimensions as (
    select * from {{ ref('stg_declarations__preference_dimensions') }}
),

held_out as (
    select * from {{ ref('int_users_held_out') }}
),

marked as (
    select
        preferences.*,
        dimensions.default_value,
        held_out.user_id is not null and preferences.kind = 'inferred' as is_held_out
    from preferences
    inner join dimensions
        on preferences.dimension = dimensions.dimension
    left join held_out
        on preferences.user_id = held_out.user_id
)

select
    {%- for name in names %}
        {%- if name in kept %}
            {{ name }}
        {%- else %}
            case when is_held_out then {{ replaced.get(name, 'null') }} else {{ name }} end as {{ name }}
        {%- endif %}
        {{- ',' if not loop.last }}
    {%- endfor %}
from marked
