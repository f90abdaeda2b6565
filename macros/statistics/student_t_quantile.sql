{# CTEs, the last one called `name`: the relation plus `output`, the critical value t with
   P(|T| > t) = alpha, relative error within 1e-12 for degrees of freedom from 1 and alpha from
   1e-300 to 1. Null where an argument is null or outside these ranges, or where t is beyond 1e150
   (below two degrees of freedom, for alpha under 1e-150).

   Start: Hill (1970, CACM algorithm 396), or below 2.1 degrees of freedom, where that fails,
   the closed forms at 1 and 2 joined on a line in 1 / v. Then two of Halley's steps for the
   logarithm of the tail in the logarithm of t, along which both tails and powers are nearly
   straight. #}
{% macro student_t_quantile(relation, alpha, degrees_of_freedom, output, name) -%}
{%- set c = name ~ '_' ~ output -%}
{{ c }}_parameters as (
    select
        {{ relation }}.*,
        case
            when {{ degrees_of_freedom }} >= 1 and {{ degrees_of_freedom }} < 1e25
                and {{ alpha }} >= 1e-300 and {{ alpha }} <= 1
                then cast({{ alpha }} as double)
        end as {{ c }}_p,
        case
            when {{ degrees_of_freedom }} >= 1 and {{ degrees_of_freedom }} < 1e25
                then cast({{ degrees_of_freedom }} as double)
        end as {{ c }}_v
    from {{ relation }}
),

{{ c }}_hill as (
    select
        *,
        case when {{ c }}_v < 2.1e0 then 2.1e0 else {{ c }}_v end as {{ c }}_n,
        1e0 / (case when {{ c }}_v < 2.1e0 then 2.1e0 else {{ c }}_v end - 5e-1) as {{ c }}_a,
        {{ normal_quantile(c ~ '_p / 2e0') }} as {{ c }}_z
    from {{ c }}_parameters
),

{{ c }}_hill_terms as (
    select
        *,
        48e0 / ({{ c }}_a * {{ c }}_a) as {{ c }}_b,
        (
            (20700e0 * {{ c }}_a * {{ c }}_a * {{ c }}_a / 48e0 - 98e0) * {{ c }}_a - 16e0
        ) * {{ c }}_a + 96.36e0 as {{ c }}_c
    from {{ c }}_hill
),

{{ c }}_hill_scale as (
    select
        *,
        ((94.5e0 / ({{ c }}_b + {{ c }}_c) - 3e0) / {{ c }}_b + 1e0)
        * sqrt({{ c }}_a * 1.5707963267948966e0) * {{ c }}_n as {{ c }}_d
    from {{ c }}_hill_terms
),

{{ c }}_hill_power as (
    select
        *,
        exp(2e0 / {{ c }}_n * ln({{ c }}_d * {{ c }}_p)) as {{ c }}_y,
        (((5e-2 * {{ c }}_d * {{ c }}_z - 5e0) * {{ c }}_z - 7e0) * {{ c }}_z - 2e0) * {{ c }}_z
        + {{ c }}_b + {{ c }}_c + case
            when {{ c }}_n < 5e0 then 3e-1 * ({{ c }}_n - 4.5e0) * ({{ c }}_z + 6e-1)
            else 0e0
        end as {{ c }}_e
    from {{ c }}_hill_scale
),

{{ c }}_hill_branches as (
    select
        *,
        {{ c }}_a * (
            ((((4e-1 * {{ c }}_z * {{ c }}_z + 6.3e0) * {{ c }}_z * {{ c }}_z + 36e0)
                * {{ c }}_z * {{ c }}_z + 94.5e0)
                / nullif({{ c }}_e, 0e0) - {{ c }}_z * {{ c }}_z - 3e0) / {{ c }}_b + 1e0
        ) * (
            ((((4e-1 * {{ c }}_z * {{ c }}_z + 6.3e0) * {{ c }}_z * {{ c }}_z + 36e0)
                * {{ c }}_z * {{ c }}_z + 94.5e0)
                / nullif({{ c }}_e, 0e0) - {{ c }}_z * {{ c }}_z - 3e0) / {{ c }}_b + 1e0
        ) * {{ c }}_z * {{ c }}_z as {{ c }}_centre,
        (
            1e0 / nullif((
                ({{ c }}_n + 6e0) / nullif({{ c }}_n * {{ c }}_y, 0e0)
                - 8.9e-2 * {{ c }}_d - 8.22e-1
            ) * ({{ c }}_n + 2e0) * 3e0, 0e0) + 5e-1 / ({{ c }}_n + 4e0)
        ) * {{ c }}_y as {{ c }}_far,
        -- cot(alpha * pi / 2), the quantile at one degree of freedom, by Padé's tangent
        case when {{ c }}_p <= 5e-1 then {{ c }}_p else 1e0 - {{ c }}_p end
        * 1.5707963267948966e0 as {{ c }}_angle
    from {{ c }}_hill_power
),

{{ c }}_start as (
    select
        *,
        case
            when {{ c }}_p = 1e0 then 0e0
            when {{ c }}_v < 2.1e0 then exp(
                (2e0 / {{ c }}_v - 1e0) * case when {{ c }}_p <= 5e-1 then -1e0 else 1e0 end * ln(
                    nullif({{ c }}_angle, 0e0) * (
                        945e0 + {{ c }}_angle * {{ c }}_angle
                        * ({{ c }}_angle * {{ c }}_angle - 105e0)
                    ) / (
                        945e0 + {{ c }}_angle * {{ c }}_angle
                        * (15e0 * {{ c }}_angle * {{ c }}_angle - 420e0)
                    )
                )
                + (1e0 - 1e0 / {{ c }}_v) * ln(
                    2e0 * (1e0 - case when {{ c }}_p < 1e0 then {{ c }}_p end)
                    * (1e0 - case when {{ c }}_p < 1e0 then {{ c }}_p end)
                    / ({{ c }}_p * (2e0 - {{ c }}_p))
                )
            )
            when {{ c }}_y > 5e-2 + {{ c }}_a then sqrt({{ c }}_n * case
                when {{ c }}_centre < 1e-5 then {{ c }}_centre * (1e0 + {{ c }}_centre / 2e0)
                else exp({{ c }}_centre) - 1e0
            end)
            else sqrt(abs({{ c }}_n * (
                ({{ c }}_far - 1e0) * ({{ c }}_n + 1e0) / ({{ c }}_n + 2e0)
                + 1e0 / nullif({{ c }}_y, 0e0)
            )))
        end as {{ c }}_t0
    from {{ c }}_hill_branches
),

{%- for step in [1, 2] %}
{%- set before = c ~ '_t' ~ (step - 1) %}
{%- set tail = c ~ '_tail' ~ step %}
{%- set source = c ~ '_start' if step == 1 else c ~ '_newton' ~ (step - 1) %}

{{ student_t_log_tail_steps(source, tail, before, c ~ '_v') }},

{{ c }}_newton{{ step }} as (
    select
        *,
        case
            when {{ before }} = 0e0 then 0e0
            -- miss / (slope - miss * bend / 2), the slope being -t times the hazard
            when {{ before }} < 1e150 then {{ before }} * exp(({{ tail }}_log_tail - ln({{ c }}_p))
                / nullif(
                    {{ before }} * {{ tail }}_hazard
                    + ({{ tail }}_log_tail - ln({{ c }}_p)) / 2e0 * (
                        1e0 + {{ before }} * ({{ tail }}_hazard
                            - ({{ c }}_v + 1e0) * {{ before }}
                            / ({{ c }}_v + {{ before }} * {{ before }}))
                    ),
                    0e0
                ))
        end as {{ c }}_t{{ step }}
    from {{ tail }}
),
{%- endfor %}

{{ name }} as (
    select
        {{ relation_without_columns(
            c ~ '_newton2',
            c ~ '_' ~ [
                'p', 'v', 'n', 'a', 'z', 'b', 'c', 'd', 'y', 'e', 'centre', 'far', 'angle',
                't0', 't1', 't2',
            ] | join(', ' ~ c ~ '_')
            ~ ', ' ~ student_t_log_tail_columns(c ~ '_tail1')
            ~ ', ' ~ student_t_log_tail_columns(c ~ '_tail2')
        ) }},
        {{ c }}_t2 as {{ output }}
    from {{ c }}_newton2
)
{%- endmacro %}
