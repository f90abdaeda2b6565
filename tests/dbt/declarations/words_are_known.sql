-- Fails if a column that holds one of a few words, true or false among them, holds another.
{%- set booleans = ['true', 'false'] %}
{%- set rules = [
    ['attune', 'attribute_aliases', 'alias', 'kind', ['event', 'attribute', 'field']],
    ['attune', 'attribute_privacy', 'attribute', 'privacy',
        ['none', 'identifier', 'personal', 'content']],
    ['catalog', 'tracking_plan', 'event_name', 'data_type',
        ['string', 'integer', 'double', 'boolean', 'array']],
    ['catalog', 'tracking_plan', 'event_name', 'is_required', booleans],
    ['catalog', 'tracking_plan', 'event_name', 'privacy', ['none', 'personal', 'content']],
    ['catalog', 'tracking_plan', 'event_name', 'purpose',
        ['operations', 'measurement', 'personalization']],
    ['catalog', 'consent_purposes', 'purpose', 'granted_by_default', booleans],
    ['experiments', 'experiments', 'experiment_name', 'unit', ['user', 'session', 'organization']],
    ['experiments', 'experiments', 'experiment_name', 'inference',
        ['sequential', 'fixed', 'group_sequential']],
    ['experiments', 'experiment_metrics', 'metric_name', 'role',
        ['success', 'guardrail', 'deterioration', 'exploratory']],
    ['preferences', 'preference_dimensions', 'dimension', 'is_user_controllable', booleans],
    ['preferences', 'decision_points', 'decision_point', 'reward_join', ['trace', 'user']],
    ['preferences', 'decision_points', 'decision_point', 'arm_model', ['cells', 'linear']],
] %}
{%- for folder, seed, key, column, words in rules %}
select
    '{{ folder }}/{{ seed }}.csv' as declared_in,
    concat('{{ key }} ', {{ key }}) as declared_row,
    concat('{{ column }} is ', {{ column }}, ', none of {{ words | join(", ") }}') as problem
from ({{ declared(seed, {key: ['string'], column: ['string']}) }}) as declared_rows
where {{ column }} not in ('{{ words | join("', '") }}')
{{ 'union all' if not loop.last }}
{%- endfor %}
