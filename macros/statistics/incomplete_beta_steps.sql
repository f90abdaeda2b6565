{# Building block of incomplete_beta and beta_quantile: CTEs that turn the columns `alpha` and
   `beta` of `source` (positive doubles, or null) and <name>_x, _y = 1 - x, _log_x and _log_y into
   <name>_lower = I_x(alpha, beta), <name>_upper = 1 - lower and <name>_density, the density of
   the log odds: x^alpha * y^beta / B(alpha, beta). Leaves its intermediate columns, listed by
   incomplete_beta_columns.

   Continued fractions need about sqrt(alpha + beta) levels, too many for counts of millions.
   Instead alpha and beta are raised by 10 (DLMF 8.17.18 and 8.17.19, both at once), which leaves
   a density of the log odds close to a normal one for every alpha and beta, and its smaller side
   is integrated by 20-point quadrature up to where it has fallen to exp(-45). The scale of the
   density comes from Stirling's series, its exponent from deviations from the mode, so that large
   parameters do not cancel. Error of the probability within 1e-8, for parameters up to 1e5 within
   1e-9, mostly 1e-13.

   Columns set in one CTE and used several times in the next keep engines from folding the chain
   into one expression. #}
{% macro incomplete_beta_steps(source, name, alpha, beta) -%}
{%- set c = name -%}
{%- set a = alpha -%}
{%- set b = beta -%}
{%- set d -%}
    ({{ c }}_x * ({{ b }} + 10e0) - {{ c }}_y * ({{ a }} + 10e0))
{%- endset -%}
{#- abscissas and weights of Gauss and Legendre on [0, 1] (DLMF 3.5.15) -#}
{%- set nodes = [
    ('3.4357004074525376e-3', '8.8070035695760592e-3'),
    ('1.8014036361043104e-2', '2.0300714900193471e-2'),
    ('4.3882785874337047e-2', '3.1336024167054532e-2'),
    ('8.0441514088890588e-2', '4.1638370788352374e-2'),
    ('1.268340467699246e-1', '5.0965059908620218e-2'),
    ('1.8197315963674249e-1', '5.9097265980759209e-2'),
    ('2.4456649902458645e-1', '6.5844319224588313e-2'),
    ('3.1314695564229022e-1', '7.1048054659191026e-2'),
    ('3.8610707442917746e-1', '7.4586493236301873e-2'),
    ('4.6173673943325133e-1', '7.6376693565362925e-2'),
    ('5.3826326056674867e-1', '7.6376693565362925e-2'),
    ('6.1389292557082254e-1', '7.4586493236301873e-2'),
    ('6.8685304435770978e-1', '7.1048054659191026e-2'),
    ('7.5543350097541355e-1', '6.5844319224588313e-2'),
    ('8.1802684036325751e-1', '5.9097265980759209e-2'),
    ('8.731659532300754e-1', '5.0965059908620218e-2'),
    ('9.1955848591110941e-1', '4.1638370788352374e-2'),
    ('9.5611721412566295e-1', '3.1336024167054532e-2'),
    ('9.819859636389569e-1', '2.0300714900193471e-2'),
    ('9.9656429959254746e-1', '8.8070035695760592e-3'),
] -%}
{{ name }}_scales as (
    select
        *,
        {%- for j in range(10) %}
        ({{ a }} + {{ j }}e0) / ({{ a }} + {{ b }} + {{ 2 * j }}e0)
        * ({{ b }} + {{ j }}e0) / ({{ a }} + {{ b }} + {{ 2 * j + 1 }}e0)
        {{- ' as ' ~ c ~ '_g,' if loop.last else ' *' }}
        {%- endfor %}
        {%- for j in range(10) %}
        (({{ b }} + {{ j }}e0) * {{ c }}_y - ({{ a }} + {{ j }}e0) * {{ c }}_x)
        / (({{ a }} + {{ j }}e0) * ({{ b }} + {{ j }}e0))
        {%- if not loop.last %} + {{ c }}_x * {{ c }}_y
        * (({{ a }} + {{ b }} + {{ 2 * j }}e0) / ({{ a }} + {{ j }}e0))
        * (({{ a }} + {{ b }} + {{ 2 * j + 1 }}e0) / ({{ b }} + {{ j }}e0)) * (
        {%- endif %}
        {%- endfor %}
        {{ ')' * 9 }} as {{ c }}_s,
        {{ d }} > 0e0 as {{ c }}_is_above,
        ({{ a }} + 10e0) * case
            when {{ d }} / ({{ a }} + 10e0) < -5e-1
                then {{ c }}_log_x + ln(({{ a }} + {{ b }} + 20e0) / ({{ a }} + 10e0))
            else {{ log1p('(' ~ d ~ ' / (' ~ a ~ ' + 10e0))') }}
        end
        + ({{ b }} + 10e0) * case
            when -{{ d }} / ({{ b }} + 10e0) < -5e-1
                then {{ c }}_log_y + ln(({{ a }} + {{ b }} + 20e0) / ({{ b }} + 10e0))
            else {{ log1p('(-' ~ d ~ ' / (' ~ b ~ ' + 10e0))') }}
        end
        + ln(
            ({{ a }} + 10e0) * (({{ b }} + 10e0) / ({{ a }} + {{ b }} + 20e0)) / 6.283185307179586e0
        ) / 2e0
        + {{ stirling_remainder('(' ~ a ~ ' + ' ~ b ~ ' + 20e0)') }}
        - {{ stirling_remainder('(' ~ a ~ ' + 10e0)') }}
        - {{ stirling_remainder('(' ~ b ~ ' + 10e0)') }} as {{ c }}_h,
        case when {{ d }} > 0e0 then {{ b }} + 10e0 else {{ a }} + 10e0 end as {{ c }}_p,
        case when {{ d }} > 0e0 then {{ c }}_y else {{ c }}_x end as {{ c }}_v,
        90e0 / (abs{{ d }} + sqrt(
            {{ d }} * {{ d }} + 90e0 * ({{ a }} + {{ b }} + 20e0) * {{ c }}_x * {{ c }}_y
        )) as {{ c }}_w
    from {{ source }}
),

{{ name }}_sides as (
    select
        *,
        exp({{ c }}_h) * {{ c }}_w * (
            {%- for node, weight in nodes %}
            {{ weight }} * exp(
                -{{ c }}_p * {{ c }}_w * {{ node }}
                - ({{ a }} + {{ b }} + 20e0)
                * ln(1e0 - {{ c }}_v * (1e0 - exp(-{{ c }}_w * {{ node }})))
            ){{ ' +' if not loop.last }}
            {%- endfor %}
        ) as {{ c }}_side,
        exp({{ c }}_h + ln(nullif({{ c }}_g, 0e0)) - 10e0 * ({{ c }}_log_x + {{ c }}_log_y))
            as {{ c }}_density
    from {{ name }}_scales
),

{{ name }} as (
    select
        *,
        case when {{ c }}_is_above then 1e0 - {{ c }}_side else {{ c }}_side end
        + {{ c }}_density * {{ c }}_s as {{ c }}_lower,
        case when {{ c }}_is_above then {{ c }}_side else 1e0 - {{ c }}_side end
        - {{ c }}_density * {{ c }}_s as {{ c }}_upper
    from {{ name }}_sides
)
{%- endmacro %}
