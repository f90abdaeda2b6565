{{ config(meta={'serving': {
    'key_columns': ['decision_point', 'context'], 'payload': 'payload', 'max_age_hours': 26
}}) }}
with

action_probabilities as (
    select * from {{ ref('fct_action_probabilities') }}
),

described as (
    select
        decision_point,
        context,
        {{ json_text(struct_of({
            'decision_point': 'decision_point',
            'context': 'context',
            'actions': sorted_list(struct_of({
                'action': 'action',
                'probability': 'round(probability, 9)',
            })),
            'exploration_floor': 'max(exploration_floor)',
            'position': 'cast(null as bigint)',
        })) }} as payload
    from action_probabilities
    group by decision_point, context
)

select
    decision_point,
    context,
    payload,
    md5(payload) as content_hash
from described
