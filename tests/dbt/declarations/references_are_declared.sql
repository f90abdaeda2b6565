-- Fails if a row names an experiment, a dimension or a decision point that is not declared.
{%- set references = [
    ['experiments/experiment_variants.csv', 'experiment_variants', 'variant', 'experiment_name',
        'experiments', 'experiment_name'],
    ['experiments/experiment_metrics.csv', 'experiment_metrics', 'metric_name', 'experiment_name',
        'experiments', 'experiment_name'],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'stratify_by',
        'segments', 'segment_name'],
    ['preferences/preference_values.csv', 'preference_values', 'value', 'dimension',
        'preference_dimensions', 'dimension'],
    ['preferences/preference_signals.csv', 'preference_signals', 'signal_name', 'dimension',
        'preference_dimensions', 'dimension'],
    ['preferences/target_policies.csv', 'target_policies', 'policy_name', 'decision_point',
        'decision_points', 'decision_point'],
] %}
{%- for file, seed, key, column, other_seed, other_column in references %}
select
    '{{ file }}' as declared_in,
    concat('{{ key }} ', naming.{{ key }}) as declared_row,
    concat(
        '{{ column }} ', coalesce(naming.{{ column }}, 'is empty and'),
        ' is not in {{ other_seed }}.csv'
    ) as problem
from ({{ declared(seed, {key: ['string'], column: ['string']}) }}) as naming
left join (
    select distinct named.{{ other_column }} as declared_name
    from ({{ declared(other_seed, {other_column: ['string']}) }}) as named
) as named
    on naming.{{ column }} = named.declared_name
where
    named.declared_name is null
    {%- if column == 'stratify_by' %}
        and naming.{{ column }} is not null
    {%- endif %}
{{ 'union all' if not loop.last }}
{%- endfor %}
