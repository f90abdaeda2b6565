with

systems as (
    select * from {{ ref('int_policy_linear_systems') }}
),

features as (
    select * from {{ ref('int_policy_context_features') }}
),

solved as (
    select
        decision_point,
        action,
        prior_mean,
        size,
        -- the linter does not know DuckDB's lambdas of two arguments
        {{ swept_matrix('matrix', 'size', '(size - 1)') }} as matrix -- noqa: PRS
    from systems
),

-- x' theta and x' inverse(A) x: every pair of features of the context
weighed as (
    select
        solved.decision_point,
        features.context,
        solved.action,
        solved.prior_mean,
        sum(
            case
                when other_features.feature = 'intercept'
                    then {{ list_item('solved.matrix', '(features.place * solved.size + solved.size - 1)') }}
                else 0e0
            end
        ) as effect,
        sum({{ list_item('solved.matrix', '(features.place * solved.size + other_features.place)') }})
            as variance_factor
    from solved
    inner join features
        on solved.decision_point = features.decision_point
    inner join features as other_features
        on
            features.decision_point = other_features.decision_point
            and features.context = other_features.context
    group by solved.decision_point, features.context, solved.action, solved.prior_mean
)

select
    decision_point,
    context,
    action,
    prior_mean,
    prior_mean + effect as posterior_mean,
    variance_factor
from weighed
