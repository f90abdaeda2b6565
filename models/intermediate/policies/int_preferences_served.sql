{#- Preferences as the assistant gets them: what was inferred of users who are held out is left out.
    What they set themselves still holds. -#}
{%- set used_when_served = [
    'score', 'score_lower', 'score_upper', 'valid_from', 'trials', 'successes', 'prior_mean',
    'prior_strength', 'segment', 'everyone_term', 'context_term', 'segment_term', 'own_term',
    'first_signal_at', 'last_signal_at'
] %}
with

preferences as (
    select * from {{ ref('dim_user_preferences') }}
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
    user_id,
    dimension,
    context,
    case when is_held_out then default_value else value end as value,
    case when is_held_out then 'default' else kind end as kind,
    evidence_count,
    case
        when is_held_out
            then 'Default: you are in the group that shows us what personalization is worth.'
        else reason
    end as reason
    {%- for name in used_when_served %},
        case when not is_held_out then {{ name }} end as {{ name }}
    {%- endfor %}
from marked
