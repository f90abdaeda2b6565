{{ config(meta={'serving': {
    'key_columns': ['decision_point', 'context'], 'payload': 'payload', 'row_hash': 'row_hash',
    'max_age_hours': 26
}}) }}
with

action_probabilities as (
    select * from {{ ref('fct_action_probabilities') }}
),

arms as (
    select
        decision_point,
        context,
        max(exploration_floor) as exploration_floor,
        {{ sorted_list(struct_of({'action': 'action', 'probability': 'probability'})) }} as actions
    from action_probabilities
    group by decision_point, context
),

described as (
    select
        decision_point,
        context,
        {{ json_text(struct_of({
            'decision_point': 'decision_point',
            'context': 'context',
            'position': 'cast(null as bigint)',
            'actions': 'actions',
            'exploration_floor': 'exploration_floor',
        })) }} as payload
    from arms
)

select
    decision_point,
    context,
    payload,
    md5(payload) as content_hash,
    {{ row_checksum("concat_ws(chr(31), decision_point, context, md5(payload))") }} as row_hash
from described
