{#- What each rule earned with each user: sums whose ratio over users is the metric. -#}
{%- set models = ['served', 'popularity', 'segment_popularity', 'last_choice', 'raw_counts'] %}
with

predictions as (
    select * from {{ ref('int_preference_predictions') }}
),

surfaces as (
    select
        user_id,
        dimension,
        context,
        {{ exact_sum('trials') }} as trials,
        {{ exact_sum('relevance') }} as relevance,
        {{ exact_sum('relevance / ln(best_position + 1e0)') }} as best_gain
        {%- for model in models %},
        {{ exact_sum(
            'successes * ln(' ~ model ~ '_score) + (trials - successes) * ln(1e0 - ' ~ model
            ~ '_score)'
        ) }} as {{ model }}_log_likelihood,
        {{ exact_sum('case when ' ~ model ~ '_position = 1 then relevance else 0e0 end') }}
            as {{ model }}_hits,
        {{ exact_sum('relevance / ln(' ~ model ~ '_position + 1e0)') }} as {{ model }}_gain
        {%- endfor %}
    from predictions
    group by user_id, dimension, context
)

{%- for model in models %}
select
    user_id,
    dimension,
    '{{ model }}' as model,
    'log_loss' as metric,
    {{ exact_sum('-' ~ model ~ '_log_likelihood') }} as total,
    {{ exact_sum('trials') }} as weight
from surfaces
group by user_id, dimension
union all
select
    user_id,
    dimension,
    '{{ model }}' as model,
    'hit_rate' as metric,
    {{ exact_sum(model ~ '_hits') }} as total,
    {{ exact_sum('relevance') }} as weight
from surfaces
where relevance > 0e0
group by user_id, dimension
union all
select
    user_id,
    dimension,
    '{{ model }}' as model,
    'ndcg' as metric,
    {{ exact_sum('relevance * ' ~ model ~ '_gain / best_gain') }} as total,
    {{ exact_sum('relevance') }} as weight
from surfaces
where relevance > 0e0
group by user_id, dimension
{{ 'union all' if not loop.last }}
{%- endfor %}
