-- Fails if a number or a time cannot be read, or a number lies outside its bounds.
{%- set rules = [
    ['catalog/model_prices.csv', 'model_prices', 'model', 'input_usd_per_million_tokens', 'double', 0, none],
    ['catalog/model_prices.csv', 'model_prices', 'model', 'output_usd_per_million_tokens', 'double', 0, none],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'started_at', 'timestamp', none, none],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'ended_at', 'timestamp', none, none],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'alpha', 'double', 0, 1],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'power', 'double', 0, 1],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'planned_units', 'bigint', 1, none],
    ['experiments/experiments.csv', 'experiments', 'experiment_name', 'holdout_share', 'double', 0, 1],
    ['experiments/sequential_bounds.csv', 'sequential_bounds', 'bounds', 'alpha', 'double', 0, 1],
    ['experiments/sequential_bounds.csv', 'sequential_bounds', 'bounds', 'look', 'bigint', 1, none],
    ['experiments/sequential_bounds.csv', 'sequential_bounds', 'bounds', 'information_fraction', 'double', 0, 1],
    ['experiments/sequential_bounds.csv', 'sequential_bounds', 'bounds', 'critical_value', 'double', 0, none],
    ['experiments/experiment_variants.csv', 'experiment_variants', 'variant', 'allocation', 'double', 0, 1],
    ['experiments/experiment_metrics.csv', 'experiment_metrics', 'metric_name', 'minimum_effect', 'double', 0, none],
    ['experiments/experiment_metrics.csv', 'experiment_metrics', 'metric_name', 'prior_mean', 'double', none, none],
    ['experiments/experiment_metrics.csv', 'experiment_metrics', 'metric_name', 'prior_std_dev', 'double', 1e-9, none],
    ['preferences/preference_dimensions.csv', 'preference_dimensions', 'dimension', 'half_life_days', 'double', 1e-3, none],
    ['preferences/preference_dimensions.csv', 'preference_dimensions', 'dimension', 'serve_threshold', 'double', 0, 1],
    ['preferences/preference_signals.csv', 'preference_signals', 'signal_name', 'weight', 'double', 0, none],
    ['preferences/context_bins.csv', 'context_bins', 'bin', 'lower', 'double', none, none],
    ['preferences/context_bins.csv', 'context_bins', 'bin', 'upper', 'double', none, none],
    ['preferences/personalization_holdout.csv', 'personalization_holdout', 'salt', 'share', 'double', 0, 1],
    ['preferences/decision_points.csv', 'decision_points', 'decision_point', 'reward_window_minutes', 'double', 0, none],
    ['preferences/decision_points.csv', 'decision_points', 'decision_point', 'reward_prior_strength', 'double', 0, none],
    ['preferences/decision_points.csv', 'decision_points', 'decision_point', 'reward_model_folds', 'bigint', 1, none],
    ['preferences/decision_points.csv', 'decision_points', 'decision_point', 'exploration_floor', 'double', 0, 1],
    ['preferences/target_policies.csv', 'target_policies', 'policy_name', 'position', 'bigint', 0, none],
    ['preferences/target_policies.csv', 'target_policies', 'policy_name', 'probability', 'double', 0, 1],
] %}
{%- for file, seed, key, column, data_type, lower, upper in rules %}
{%- set number = safe_cast_text(column, data_type) %}
select
    '{{ file }}' as declared_in,
    concat('{{ key }} ', {{ key }}) as declared_row,
    concat(
        '{{ column }} is ', {{ column }}, ', not a {{ data_type }}'
        {%- if lower is not none %}, ' from {{ lower }}'{% endif %}
        {%- if upper is not none %}, ' to {{ upper }}'{% endif %}
    ) as problem
from ({{ declared(seed, {key: ['string'], column: ['string']}) }}) as declared_rows
where
    {{ column }} is not null
    and (
        {{ number }} is null
        {%- if lower is not none %}
            or {{ number }} < {{ lower }}
        {%- endif %}
        {%- if upper is not none %}
            or {{ number }} > {{ upper }}
        {%- endif %}
    )
{{ 'union all' if not loop.last }}
{%- endfor %}
