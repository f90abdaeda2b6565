-- Fails if an experiment on sessions or organizations has a metric of days on which users were active,
-- which know neither: every unit would count as 0.
{%- set of_users = [] %}
{%- for metric in (metric_definitions() if execute else []) %}
{%- if 'fct_user_activity_daily' in metric.parts | map(attribute='model') %}
{%- do of_users.append("'" ~ metric.name ~ "'") %}
{%- endif %}
{%- endfor %}
with

experiments as (
    {{ declared('experiments', {'experiment_name': ['string'], 'unit': ['string', "'user'"]}) }}
),

experiment_metrics as (
    {{ declared('experiment_metrics', {
        'experiment_name': ['string'], 'metric_name': ['string'],
    }) }}
)

select
    'experiments/experiment_metrics.csv' as declared_in,
    concat(
        'experiment_name ', experiment_metrics.experiment_name,
        ', metric_name ', experiment_metrics.metric_name
    ) as declared_row,
    concat(
        'it counts days of users and the experiment assigns ', experiments.unit,
        's; use a metric of a measure on fct_events'
    ) as problem
from experiment_metrics
inner join experiments
    on experiment_metrics.experiment_name = experiments.experiment_name
where
    experiments.unit != 'user'
    and experiment_metrics.metric_name in ({{ of_users | join(', ') or 'null' }})
