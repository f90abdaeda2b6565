{#- A digest of what each declaration says, whatever the order of its rows. -#}
{%- set declarations = [
    'attribute_aliases', 'tracking_plan', 'consent_purposes', 'excluded_units', 'segments',
    'model_prices', 'experiments', 'experiment_variants', 'experiment_metrics',
    'preference_dimensions', 'preference_values', 'preference_signals', 'context_bins',
] -%}
{%- for declaration in declarations %}
{%- set relation = ref(declaration) %}
{%- set columns = ["''"] %}
{%- if execute and load_relation(relation) is not none %}
{%- for column in adapter.get_columns_in_relation(relation) %}
{%- do columns.append("coalesce(" ~ column.name ~ ", '')") %}
{%- endfor %}
{%- endif %}
select
    '{{ declaration }}' as declaration,
    coalesce({{ sorted_digest("concat_ws('|', " ~ columns | join(', ') ~ ")") }}, '') as version
from {{ relation }}
{{ 'union all' if not loop.last }}
{%- endfor %}
