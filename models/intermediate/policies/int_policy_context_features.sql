{#- Contexts taken apart where actions are believed in linearly: an intercept, and each attribute's
    value. A value with a comma in it counts for more than one attribute. -#}
{%- set parts = [1, 2, 3] %}
with

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
    where arm_model = 'linear'
),

contexts as (
    select distinct
        decision_point,
        context
    from {{ ref('int_decision_cells') }}
),

features as (
    select
        contexts.decision_point,
        contexts.context,
        'intercept' as feature
    from contexts
    inner join decision_points
        on contexts.decision_point = decision_points.decision_point
    {%- for part in parts %}
        {%- set attribute = "trim(split_part(decision_points.context_attribute, ';', " ~ part ~ "))" %}
        union all
        select
            contexts.decision_point,
            contexts.context,
            concat({{ attribute }}, '=', split_part(contexts.context, ',', {{ part }})) as feature
        from contexts
        inner join decision_points
            on contexts.decision_point = decision_points.decision_point
        where {{ attribute }} != ''
    {%- endfor %}
)

select
    decision_point,
    context,
    feature,
    dense_rank() over (partition by decision_point order by feature) - 1 as place
from features
