{# CTEs, the last one called `name`: the relation plus `output`, the probability that a chi-square
   variable exceeds the statistic: the incomplete gamma Q(a, x), a = half the (real) degrees of
   freedom, x = half the statistic. True tails, no floor; below 1e-307 only the logarithm
   (`log_output`) is exact. Null where an argument is null or not finite, the statistic is negative
   or the degrees of freedom are not positive.

   Up to 50 degrees of freedom, and beyond where x / a leaves [0.5, 2]: Legendre's continued
   fraction, backwards, in the tail and 1 - P by its power series in the body (Press et al., 2007,
   section 6.2). Between: Temme's uniform expansion (1979; DLMF 8.12.7-12), its coefficients
   computed to 60 digits. The borders keep each below 1e-12.

   Thirteen levels per CTE, whose first names the level before twice, which keeps Spark from folding
   the chain into one expression beyond its limit; one level per CTE would bring it near its hundred
   rounds of analysis. The denominators of the fraction are at least 3 where it is used, elsewhere
   null. #}
{% macro chi_square_tail(
    relation, statistic, degrees_of_freedom, output, name, log_output=none
) -%}
{%- set c = name ~ '_' ~ output -%}
{%- set temme_coefficients = [
    [
        '-3.3333333333333333e-1', '8.3333333333333333e-2', '-1.4814814814814815e-2',
        '1.1574074074074074e-3', '3.527336860670194e-4', '-1.7875514403292181e-4',
        '3.9192631785224378e-5', '-2.1854485106799922e-6', '-1.85406221071516e-6',
        '8.296711340953086e-7', '-1.7665952736826079e-7', '6.7078535434014986e-9',
        '1.0261809784240308e-8', '-4.3820360184533532e-9', '9.1476995822367902e-10',
        '-2.551419399494625e-11', '-5.8307721325504251e-11', '2.4361948020667416e-11',
        '-5.0276692801141756e-12', '1.1004392031956135e-13', '3.3717632624009854e-13',
        '-1.3923887224181621e-13',
    ],
    [
        '-1.8518518518518519e-3', '-3.4722222222222222e-3', '2.6455026455026455e-3',
        '-9.9022633744855967e-4', '2.0576131687242798e-4', '-4.0187757201646091e-7',
        '-1.8098550334489978e-5', '7.6491609160811101e-6', '-1.6120900894563446e-6',
        '4.6471278028074343e-9', '1.378633446915721e-7', '-5.752545603517705e-8',
        '1.1951628599778147e-8', '-1.7543241719747648e-11', '-1.0091543710600413e-9',
        '4.1627929918425826e-10', '-8.5639070264929806e-11', '6.0672151016047586e-14',
    ],
    [
        '4.1335978835978836e-3', '-2.6813271604938272e-3', '7.7160493827160494e-4',
        '2.0093878600823045e-6', '-1.0736653226365161e-4', '5.2923448829120125e-5',
        '-1.2760635188618728e-5', '3.4235787340961381e-8', '1.3721957309062933e-6',
        '-6.298992138380055e-7', '1.4280614206064242e-7', '-2.0477098421990866e-10',
        '-1.4092529910867521e-8', '6.228974084922022e-9', '-1.3670488396617113e-9',
    ],
    [
        '6.4943415637860082e-4', '2.2947209362139918e-4', '-4.6918949439525571e-4',
        '2.6772063206283885e-4', '-7.5618016718839764e-5', '-2.3965051138672967e-7',
        '1.1082654115347302e-5', '-5.6749528269915966e-6', '1.4230900732435884e-6',
        '-2.7861080291528142e-11', '-1.6958404091930277e-7', '8.0994649053880824e-8',
    ],
    [
        '-8.618882909167117e-4', '7.8403922172006663e-4', '-2.9907248030319018e-4',
        '-1.4638452578843418e-6', '6.6414982154651222e-5', '-3.9683650471794347e-5',
        '1.1375726970678419e-5', '2.5074972262375328e-10', '-1.6954149536558306e-6',
    ],
    [
        '-3.3679855336635815e-4', '-6.9728137583658578e-5', '2.7727532449593921e-4',
        '-1.9932570516188848e-4', '6.7977804779372078e-5', '1.419062920643967e-7',
    ],
    [
        '5.3130793646399222e-4', '-5.9216643735369388e-4', '2.7087820967180448e-4',
        '7.9023532326603279e-7',
    ],
] -%}
{{ c }}_parameters as (
    select
        {{ relation }}.*,
        case
            when {{ statistic }} >= 0 and {{ statistic }} < 1e300
                and {{ degrees_of_freedom }} >= 1e-3 and {{ degrees_of_freedom }} < 1e15
                then cast({{ statistic }} as double) / 2e0
        end as {{ c }}_x,
        case
            when {{ degrees_of_freedom }} >= 1e-3 and {{ degrees_of_freedom }} < 1e15
                then cast({{ degrees_of_freedom }} as double) / 2e0
        end as {{ c }}_a
    from {{ relation }}
),

{{ c }}_ratios as (
    select
        *,
        ({{ c }}_x - {{ c }}_a) / {{ c }}_a as {{ c }}_mu,
        case
            when {{ c }}_x = 0e0 then 'zero'
            when {{ c }}_a >= 25e0 and abs({{ c }}_x - 1.25e0 * {{ c }}_a) <= 7.5e-1 * {{ c }}_a
                then 'uniform'
            when {{ c }}_x >= {{ c }}_a + 2.5e0 then 'fraction'
            else 'series'
        end as {{ c }}_method
    from {{ c }}_parameters
),

{{ c }}_deviances as (
    select
        *,
        -- mu - ln(1 + mu), the exponent of the density; by its series where the two cancel
        case
            when abs({{ c }}_mu) < 5e-2 then {{ c }}_mu * {{ c }}_mu * {{ polynomial(
                '(-' ~ c ~ '_mu)', [
                    '5e-1', '3.3333333333333333e-1', '2.5e-1', '2e-1', '1.6666666666666667e-1',
                    '1.4285714285714286e-1', '1.25e-1', '1.1111111111111111e-1', '1e-1',
                    '9.0909090909090909e-2', '8.3333333333333333e-2', '7.6923076923076923e-2',
                ]
            ) }}
            else {{ c }}_mu - ({{ log1p(c ~ '_mu') }})
        end as {{ c }}_d,
        case when {{ c }}_method = 'fraction' then {{ c }}_x end as {{ c }}_u,
        case when {{ c }}_method = 'series' then {{ c }}_x end as {{ c }}_v
    from {{ c }}_ratios
),

{%- for first in [13, 0] %}

{{ c }}_levels_{{ first }} as (
    select
        *,
        {%- if loop.first %}
        -- ln(x^a * exp(-x) / gamma(a)); by Stirling's series where the parts cancel
        case
            when {{ c }}_a < 25e0
                then {{ c }}_a * ln(nullif({{ c }}_x, 0e0)) - {{ c }}_x
                    - {{ log_gamma(c ~ '_a') }}
            else ln({{ c }}_a / 6.283185307179586e0) / 2e0 - {{ c }}_a * {{ c }}_d
                - (8.333333333333333e-2 - (2.777777777777778e-3 - 7.936507936507937e-4
                    / ({{ c }}_a * {{ c }}_a)) / ({{ c }}_a * {{ c }}_a)) / {{ c }}_a
        end as {{ c }}_h,
        case when {{ c }}_mu < 0e0 then -1e0 else 1e0 end
        * sqrt(2e0 * abs({{ c }}_d)) as {{ c }}_eta,
        case when {{ c }}_mu < 0e0 then -1e0 else 1e0 end
        * sqrt(2e0 * abs({{ c }}_d) * {{ c }}_a) as {{ c }}_z,
        {%- else %}
        case when {{ c }}_method = 'uniform' then
            {%- for coefficients in temme_coefficients %}
            {{ polynomial(c ~ '_eta', coefficients) }}
            {%- if not loop.last %} + ({% endif -%}
            {%- endfor -%}
            {{ (') / ' ~ c ~ '_a') * (temme_coefficients | length - 1) }}
        end / sqrt(6.283185307179586e0 * {{ c }}_a) as {{ c }}_r,
        {%- endif %}
        {%- for n in range(first, first + 13) %}
        {{ c }}_u + {{ 2 * n + 1 }}e0 - {{ c }}_a - {{ n + 1 }}e0 * ({{ n + 1 }}e0 - {{ c }}_a) / (
        {%- endfor %}
        {%- if loop.first %}26e0{% else %}
        case when {{ c }}_f13 > 0e0 then {{ c }}_f13 end
        {%- endif %}
        {{- ')' * 13 }} as {{ c }}_f{{ first }},
        {%- for n in range(2 * first, 2 * first + 26) %}
        1e0 + {{ c }}_v / ({{ c }}_a + {{ n + 1 }}e0) * (
        {%- endfor %}
        {%- if loop.first %}1e0{% else %}
        case when {{ c }}_s13 > 0e0 then {{ c }}_s13 end
        {%- endif %}
        {{- ')' * 26 }} as {{ c }}_s{{ first }}
    from {{ c ~ '_deviances' if loop.first else c ~ '_levels_13' }}
),
{%- endfor %}

{{ c }} as (
    select
        *,
        case {{ c }}_method
            when 'zero' then 1e0
            when 'fraction' then exp({{ c }}_h) / nullif({{ c }}_f0, 0e0)
            when 'series' then 1e0 - exp({{ c }}_h) * {{ c }}_s0 / {{ c }}_a
            when 'uniform' then {{ normal_tail(c ~ '_z') }}
                + exp(-{{ c }}_a * {{ c }}_d) * {{ c }}_r
        end as {{ c }}_q
    from {{ c }}_levels_0
),

{{ name }} as (
    select
        {{ relation_without_columns(
            c,
            c ~ '_' ~ [
                'x', 'a', 'mu', 'd', 'method', 'h', 'eta', 'z', 'u', 'v', 'f13', 's13', 'f0', 's0',
                'r', 'q',
            ] | join(', ' ~ c ~ '_')
        ) }},
        {{ c }}_q as {{ output }}
        {%- if log_output is not none %},
        case
            when {{ c }}_method = 'fraction'
                then {{ c }}_h - ln(case when {{ c }}_f0 > 0e0 then {{ c }}_f0 end)
            -- the normal tail underflows: its asymptotic series without the exponential
            when {{ c }}_method = 'uniform' and {{ c }}_z > 3.7e1 then ln(
                3.989422804014327e-1 / nullif({{ c }}_z, 0e0) * {{ polynomial(
                    '(-1e0 / nullif(' ~ c ~ '_z * ' ~ c ~ '_z, 0e0))',
                    ['1e0', '1e0', '3e0', '1.5e1', '1.05e2'],
                ) }} + {{ c }}_r
            ) - {{ c }}_a * {{ c }}_d
            else ln(nullif({{ c }}_q, 0e0))
        end as {{ log_output }}
        {%- endif %}
    from {{ c }}
)
{%- endmacro %}
