{#- How likely each action is to be the best: the integral of its posterior density times the
    distribution functions of all others, by Simpson's rule. The grid holds points around the centre
    of every action, so that a narrow posterior beside a wide one is met too. It is laid over the
    log-odds, where no Beta density has a pole. -#}
{%- set steps = 36 %}
{%- set sites = ['left', 'middle', 'right'] %}
with

beliefs as (
    select * from {{ ref('int_policy_beliefs') }}
    where alpha is not null
),

-- the log-odds fall off like exp(alpha t) on the left and like exp(-beta t) on the right
posteriors as (
    select
        decision_point,
        context,
        action,
        alpha,
        beta,
        ln(alpha / beta) as centre,
        7e0 * sqrt(1e0 / alpha + 1e0 / beta) + 2.5e1 / alpha as left_reach,
        7e0 * sqrt(1e0 / alpha + 1e0 / beta) + 2.5e1 / beta as right_reach
    from beliefs
),

steps as (
    {% for step in range(-steps, steps + 1) -%}
        select {{ step }} as step {{ 'union all' if not loop.last }}
    {% endfor %}
),

points as (
    select distinct
        posteriors.decision_point,
        posteriors.context,
        posteriors.centre
        + case
            when steps.step < 0 then -posteriors.left_reach
            else posteriors.right_reach
        end * steps.step * steps.step / {{ steps * steps }}e0 as point
    from posteriors
    cross join steps
),

cells as (
    select
        decision_point,
        context,
        point as left_point,
        lead(point) over (partition by decision_point, context order by point) as right_point
    from points
),

placed as (
    select
        posteriors.*,
        cells.left_point,
        (cells.left_point + cells.right_point) / 2e0 as middle_point,
        cells.right_point,
        cells.right_point - cells.left_point as width
    from cells
    inner join posteriors
        on
            cells.decision_point = posteriors.decision_point
            and cells.context = posteriors.context
    where cells.right_point is not null
),

-- relative to the density at the centre: constants cancel
dense as (
    select
        decision_point,
        context,
        action,
        left_point,
        width
        {%- for site in sites %},
            exp(
                alpha * (
                    least({{ site }}_point, 0e0) - least(centre, 0e0)
                    - ln(1e0 + exp(-abs({{ site }}_point))) + ln(1e0 + exp(-abs(centre)))
                )
                + beta * (
                    greatest(centre, 0e0) - greatest({{ site }}_point, 0e0)
                    - ln(1e0 + exp(-abs({{ site }}_point))) + ln(1e0 + exp(-abs(centre)))
                )
            ) as {{ site }}_density
        {%- endfor %}
    from placed
),

massed as (
    select
        dense.*,
        width * (left_density + 4e0 * middle_density + right_density) / 6e0 as mass
    from dense
),

accumulated as (
    select
        massed.*,
        sum(mass) over (
            partition by decision_point, context, action order by left_point
            rows between unbounded preceding and current row
        ) as right_sum
    from massed
),

totalled as (
    select
        accumulated.*,
        max(right_sum) over (partition by decision_point, context, action) as total
    from accumulated
),

-- the middle from both ends and their slopes (Hermite)
distributed as (
    select
        decision_point,
        context,
        action,
        left_point,
        width
        {%- for site in sites %},
            {{ site }}_density / total as {{ site }}_density
        {%- endfor %},
        ln(greatest((right_sum - mass) / total, 1e-300)) as left_log,
        ln(greatest(
            (
                right_sum - mass / 2e0 + width * (left_density - right_density) / 8e0
            ) / total,
            1e-300
        )) as middle_log,
        ln(greatest(right_sum / total, 1e-300)) as right_log
    from totalled
),

rivalled as (
    select
        distributed.*
        {%- for site in sites %},
            sum({{ site }}_log) over (partition by decision_point, context, left_point)
            - {{ site }}_log as {{ site }}_rivals_log
        {%- endfor %}
    from distributed
),

integrated as (
    select
        decision_point,
        context,
        action,
        sum(width * (
            left_density * exp(left_rivals_log)
            + 4e0 * middle_density * exp(middle_rivals_log)
            + right_density * exp(right_rivals_log)
        ) / 6e0) as chance
    from rivalled
    group by decision_point, context, action
)

select
    decision_point,
    context,
    action,
    -- digits that depend on the order of a sum are cut off: what is served does not change without
    -- a reason
    round(chance / sum(chance) over (partition by decision_point, context), 9) as chance
from integrated
