{#- The probability that an action is the best one: the integral of the other actions' distribution
    functions over its own, by the trapezoidal rule on points where some action's log odds lie an
    eighth of a standard deviation apart. Unlike draws it is the same each time. Actions that lie six
    standard deviations below another have no chance. -#}
with

beliefs as (
    select * from {{ ref('int_policy_beliefs') }}
    where alpha is not null
),

log_odds as (
    select
        beliefs.*,
        {{ digamma('alpha') }} - {{ digamma('beta') }} as log_odds_mean,
        sqrt({{ trigamma('alpha') }} + {{ trigamma('beta') }}) as log_odds_deviation
    from beliefs
),

best_lower_limits as (
    select
        log_odds.*,
        max(log_odds_mean - 6e0 * log_odds_deviation) over (
            partition by decision_point, context
        ) as best_lower_limit
    from log_odds
),

contenders as (
    select * from best_lower_limits
    where log_odds_mean + 6e0 * log_odds_deviation >= best_lower_limit
),

tens as (
    {% for number in range(13) -%}
        select {{ number }} as ten {{ 'union all' if not loop.last }}
    {% endfor %}
),

ones as (
    {% for number in range(10) -%}
        select {{ number }} as one {{ 'union all' if not loop.last }}
    {% endfor %}
),

points as (
    select distinct
        contenders.decision_point,
        contenders.context,
        1e0 / (1e0 + exp(
            -contenders.log_odds_mean
            - contenders.log_odds_deviation * (-8e0 + 1.25e-1 * (10 * tens.ten + ones.one))
        )) as reward
    from contenders
    cross join tens
    cross join ones
    union all
    select distinct
        decision_point,
        context,
        1e0 as reward
    from contenders
),

at_points as (
    select
        contenders.decision_point,
        contenders.context,
        contenders.action,
        contenders.alpha,
        contenders.beta,
        points.reward
    from contenders
    inner join points
        on
            contenders.decision_point = points.decision_point
            and contenders.context = points.context
),

{{ incomplete_beta('at_points', 'reward', 'alpha', 'beta', output='below', name='distributed') }},

logged as (
    select
        distributed.*,
        ln(case when below > 1e-300 then below else 1e-300 end) as log_below
    from distributed
),

-- the chance that every other action earns less than this point
others as (
    select
        logged.*,
        exp(
            sum(log_below) over (partition by decision_point, context, reward) - log_below
        ) as others_below
    from logged
),

steps as (
    select
        others.*,
        coalesce(
            lag(below) over (partition by decision_point, context, action order by reward), 0e0
        ) as below_before,
        coalesce(
            lag(others_below) over (
                partition by decision_point, context, action order by reward
            ), 0e0
        ) as others_below_before
    from others
),

chances as (
    select
        decision_point,
        context,
        action,
        sum((below - below_before) * 5e-1 * (others_below + others_below_before)) as chance
    from steps
    group by decision_point, context, action
)

select
    decision_point,
    context,
    action,
    -- what the rule leaves out is shared by all; digits that depend on the order of a sum are cut
    -- off, so that what is served does not change without a reason
    round(chance / nullif(sum(chance) over (partition by decision_point, context), 0e0), 9)
        as chance
from chances
