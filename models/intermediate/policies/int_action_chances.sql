{#- How likely each action is to be the best: the integral of its posterior density times the
    distribution functions of all others, by Simpson's rule. The grid holds points around the centre
    of every action, so that a narrow posterior beside a wide one is met too. -#}
{%- set steps = 24 %}
{%- set sites = ['left', 'middle', 'right'] %}
with

posteriors as (
    select * from {{ ref('int_action_posteriors') }}
),

steps as (
    select * from (
        values {% for step in range(-steps, steps + 1) %}({{ step }}){{ ', ' if not loop.last }}{% endfor %}
    ) as numbers (step)
),

points as (
    select distinct
        posteriors.decision_point,
        posteriors.context,
        posteriors.centre
        + case
            when steps.step < 0 then -(7e0 * posteriors.spread + posteriors.left_tail)
            else 7e0 * posteriors.spread + posteriors.right_tail
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
                case
                    when alpha is null
                        then -0.5e0 * ({{ site }}_point - centre) * ({{ site }}_point - centre)
                            / (spread * spread)
                    else
                        alpha * (
                            least({{ site }}_point, 0e0) - least(centre, 0e0)
                            - ln(1e0 + exp(-abs({{ site }}_point))) + ln(1e0 + exp(-abs(centre)))
                        )
                        + beta * (
                            greatest(centre, 0e0) - greatest({{ site }}_point, 0e0)
                            - ln(1e0 + exp(-abs({{ site }}_point))) + ln(1e0 + exp(-abs(centre)))
                        )
                end
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
    chance / sum(chance) over (partition by decision_point, context) as chance
from integrated
