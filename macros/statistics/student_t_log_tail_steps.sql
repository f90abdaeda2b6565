{# Building block of student_t_tail and student_t_quantile: CTEs that turn the columns `t` >= 0 and
   `degrees_of_freedom` of `source` (doubles, or null) into <name>_tail, the two-sided tail,
   <name>_log_tail, its logarithm, and <name>_hazard, minus the slope of that logarithm in t.
   Leaves its intermediate columns, listed by student_t_log_tail_columns.

   The tail is the incomplete beta I_x(v / 2, 1 / 2) with x = v / (v + t^2). Its factor
   1 / B(v / 2, 1 / 2) and its logarithms are formed so that nothing cancels however large v is,
   hence no separate expansion for large v. Far out: the continued fraction of DiDonato and Morris
   (1992, TOMS 708, BFRAC), backwards from a fixed level. Near the centre, where the fraction is
   slow: 1 - I_y(1 / 2, v / 2) by its power series (DLMF 8.17.8), which loses at most a factor of
   100 there. The border keeps both below 1e-13.

   Fifteen levels per CTE, whose first names the level before twice, which keeps Spark from folding
   the chain into one expression beyond its limit; one level per CTE would pass its hundred rounds
   of analysis. Far out the n-th denominator of the fraction is above n, elsewhere it is null. #}
{% macro student_t_log_tail_steps(source, name, t, degrees_of_freedom) -%}
{%- set v = degrees_of_freedom -%}
{%- set a = '(' ~ v ~ ' / 2e0)' -%}
{%- set c = name -%}
{%- set w = '(' ~ v ~ ' / 2e0 + 10e0)' -%}
{%- set is_far = '(' ~ t ~ ' * ' ~ t ~ ' * (' ~ v ~ ' + 9e0) >= 6e0 * ' ~ v ~ ')' -%}
{{ name }}_factors as (
    select
        *,
        {{ v }} / ({{ v }} + {{ t }} * {{ t }}) as {{ c }}_x,
        {{ t }} * {{ t }} / ({{ v }} + {{ t }} * {{ t }}) as {{ c }}_y,
        2e0 / {{ v }} as {{ c }}_q,
        {{ a }} * ({{ log1p('(' ~ t ~ ' * ' ~ t ~ ' / ' ~ v ~ ')') }}) as {{ c }}_l,
        -- gamma(a + 1 / 2) / (gamma(a) * sqrt(pi)): the asymptotic series of the logarithm of the
        -- ratio (DLMF 5.11.13) ten steps up
        {%- for i in range(10) %}
        ({{ a }} + {{ i }}e0) / ({{ a }} + {{ i }}.5e0) *
        {%- endfor %}
        sqrt{{ w }} * 0.5641895835477563e0 * exp(
            {{ polynomial('(1e0 / (' ~ w ~ ' * ' ~ w ~ '))', [
                '-0.125e0', '5.208333333333333e-3', '-1.5625e-3', '1.1858258928571428e-3',
                '-1.6818576388888888e-3', '3.834117542613636e-3',
            ]) }} / {{ w }}
        ) as {{ c }}_k,
        {{ is_far }} as {{ c }}_is_far,
        case
            when {{ is_far }}
                then 1e0 + {{ v }} / ({{ v }} + {{ t }} * {{ t }}) * ({{ t }} * {{ t }} - 1e0) / 2e0
        end as {{ c }}_c,
        case
            when not {{ is_far }} then {{ t }} * {{ t }} / ({{ v }} + {{ t }} * {{ t }})
        end as {{ c }}_z
    from {{ source }}
),

{%- for first in [15, 0] %}

{{ name }}_levels_{{ first }} as (
    select
        *,
        {%- if loop.first %}
        {{ c }}_k * sqrt({{ c }}_y) * exp(-{{ c }}_l) as {{ c }}_h,
        {%- endif %}
        {%- for n in range(first, first + 15) %}
        {%- if n == 0 %}
        {{ c }}_c / (1e0 + {{ c }}_q)
        {%- else %}
        {{ n }}e0 + {{ n }}e0 * ({{ 0.5 - n }}e0) * {{ c }}_x / ({{ a }} + {{ 2 * n - 1 }}e0)
        + (1e0 + {{ n }}e0 * {{ c }}_q) * ({{ c }}_c + {{ n }}e0 * (1e0 + {{ c }}_y))
        / (1e0 + {{ 2 * n + 1 }}e0 * {{ c }}_q)
        {%- endif %}
        + (1e0 + {{ n }}e0 * {{ c }}_q) * (1e0 + {{ n + 0.5 }}e0 * {{ c }}_q)
        * ({{ n + 1 }}e0 * ({{ -0.5 - n }}e0) * {{ c }}_x * {{ c }}_x)
        / ((1e0 + {{ 2 * n + 1 }}e0 * {{ c }}_q) * (1e0 + {{ 2 * n + 1 }}e0 * {{ c }}_q)) / (
        {%- endfor %}
        {%- if loop.first %}30e0{% else %}
        case when {{ c }}_f15 > 0e0 then {{ c }}_f15 end
        {%- endif %}
        {{- ')' * 15 }} as {{ c }}_f{{ first }},
        {%- for n in range(first, first + 15) %}
        1e0 + {{ c }}_z * ({{ a }} + {{ n }}.5e0) / {{ n + 1 }}.5e0 * (
        {%- endfor %}
        {%- if loop.first %}1e0{% else %}
        case when {{ c }}_s15 > 0e0 then {{ c }}_s15 end
        {%- endif %}
        {{- ')' * 15 }} as {{ c }}_s{{ first }}
    from {{ name ~ '_factors' if loop.first else name ~ '_levels_15' }}
),
{%- endfor %}

{{ name }} as (
    select
        *,
        case
            when {{ c }}_is_far then {{ c }}_h / nullif({{ c }}_f0, 0e0)
            else 1e0 - 2e0 * {{ c }}_h * {{ c }}_s0
        end as {{ c }}_tail,
        case
            when {{ c }}_is_far
                then ln(nullif({{ c }}_k, 0e0)) + ln(nullif({{ c }}_y, 0e0)) / 2e0 - {{ c }}_l
                    - ln(case when {{ c }}_f0 > 0e0 then {{ c }}_f0 end)
            else ln(case
                when 2e0 * {{ c }}_h * {{ c }}_s0 < 1e0 then 1e0 - 2e0 * {{ c }}_h * {{ c }}_s0
            end)
        end as {{ c }}_log_tail,
        -- twice the density over the tail, without the exponential that both hold
        2e0 * {{ c }}_k * sqrt({{ c }}_x / {{ v }}) * case
            when {{ c }}_is_far then {{ c }}_f0 / nullif({{ c }}_k * sqrt({{ c }}_y), 0e0)
            else exp(-{{ c }}_l) / nullif(1e0 - 2e0 * {{ c }}_h * {{ c }}_s0, 0e0)
        end as {{ c }}_hazard
    from {{ name }}_levels_0
)
{%- endmacro %}
