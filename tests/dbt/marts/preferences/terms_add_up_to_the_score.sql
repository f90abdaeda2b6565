-- Fails if the terms that explain a score do not add up to it, in the columns or in the JSON of why.
{%- set read = [] %}
{%- for term in ['everyone', 'context', 'segment', 'own'] %}
{%- do read.append('cast(' ~ json_value_text('why', '$.terms.' ~ term) ~ ' as double)') %}
{%- endfor %}
with

served as (
    select
        user_id,
        dimension,
        context,
        score,
        everyone_term + context_term + segment_term + own_term as term_sum,
        {{ read | join(' + ') }} as read_term_sum,
        cast({{ json_value_text('why', '$.score') }} as double) as read_score
    from {{ ref('dim_user_preferences') }}
),

scored as (
    select
        user_id,
        dimension,
        context,
        score,
        everyone_term + context_term + segment_term + own_term as term_sum,
        everyone_term + context_term + segment_term + own_term as read_term_sum,
        score as read_score
    from {{ ref('fct_preference_scores') }}
)

select * from served
where
    score is not null
    and not coalesce(
        abs(score - term_sum) < 1e-12
        and abs(score - read_term_sum) < 1e-12
        and score = read_score,
        false
    )
union all
select * from scored
where not coalesce(abs(score - term_sum) < 1e-12, false)
