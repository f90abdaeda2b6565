-- Fails if two rows of a declaration say the same thing twice, or a row does not say what it is about.
{%- set rules = [
    ['attune/attribute_privacy.csv', 'attribute_privacy', ['attribute'], []],
    ['attune/attribute_aliases.csv', 'attribute_aliases',
        ['kind', 'alias', 'on_events', 'where_values'], ['canonical_name']],
    ['catalog/tracking_plan.csv', 'tracking_plan', ['event_name', 'attribute'], []],
    ['catalog/consent_purposes.csv', 'consent_purposes', ['purpose'], []],
    ['catalog/excluded_units.csv', 'excluded_units', ['rule_name'], ['attribute', 'pattern']],
    ['catalog/segments.csv', 'segments', ['segment_name'], ['source_attribute']],
    ['catalog/model_prices.csv', 'model_prices', ['model'],
        ['input_usd_per_million_tokens', 'output_usd_per_million_tokens']],
    ['experiments/experiments.csv', 'experiments', ['experiment_name'], []],
    ['experiments/sequential_bounds.csv', 'sequential_bounds', ['bounds', 'alpha', 'look'],
        ['information_fraction', 'critical_value']],
    ['experiments/experiment_variants.csv', 'experiment_variants', ['experiment_name', 'variant'],
        ['allocation']],
    ['experiments/experiment_metrics.csv', 'experiment_metrics', ['experiment_name', 'metric_name'],
        []],
    ['preferences/preference_dimensions.csv', 'preference_dimensions', ['dimension'],
        ['default_value']],
    ['preferences/preference_values.csv', 'preference_values', ['dimension', 'value'], []],
    ['preferences/preference_signals.csv', 'preference_signals', ['signal_name'],
        ['dimension', 'event_name', 'value_attribute', 'outcome']],
    ['preferences/context_bins.csv', 'context_bins', ['attribute', 'bin'], []],
    ['preferences/decision_points.csv', 'decision_points', ['decision_point'], ['reward_event']],
] %}
{#- an event without attributes is declared without one; most aliases hold without condition #}
{%- set may_be_empty = {
    'tracking_plan': ['attribute'], 'attribute_aliases': ['on_events', 'where_values'],
} %}
{%- for file, seed, keys, others in rules %}
{%- set columns = {} %}
{%- for name in keys + others %}
{%- do columns.update({name: ['string']}) %}
{%- endfor %}
select
    '{{ file }}' as declared_in,
    concat_ws(', ', {{ keys | join(', ') }}) as declared_row,
    'the row stands there more than once' as problem
from ({{ declared(seed, columns) }}) as declared_rows
group by {{ keys | join(', ') }}
having count(*) > 1
{%- for name in keys + others if name not in may_be_empty.get(seed, []) %}
union all
select
    '{{ file }}' as declared_in,
    concat_ws(', ', {{ keys | join(', ') }}) as declared_row,
    '{{ name }} is empty' as problem
from ({{ declared(seed, columns) }}) as declared_rows
where {{ name }} is null
{%- endfor %}
{{ 'union all' if not loop.last }}
{%- endfor %}
