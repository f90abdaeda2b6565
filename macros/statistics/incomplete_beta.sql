{# CTEs, the last one called `name`: the relation plus `output`, the regularized incomplete beta
   I_x(alpha, beta), and `upper_output`, its complement, not formed from it. For alpha and beta from
   1e-3 to 1e7 the error is within 1e-8. Null where an argument is null, x is outside [0, 1] or
   alpha or beta is not positive. #}
{% macro incomplete_beta(relation, x, alpha, beta, output, name, upper_output=none) -%}
{%- set c = name ~ '_' ~ output -%}
{{ c }}_parameters as (
    select
        {{ relation }}.*,
        case
            when {{ alpha }} >= 1e-6 and {{ alpha }} < 1e15 then cast({{ alpha }} as double)
        end as {{ c }}_alpha,
        case
            when {{ beta }} >= 1e-6 and {{ beta }} < 1e15 then cast({{ beta }} as double)
        end as {{ c }}_beta,
        case
            when {{ x }} >= 0 and {{ x }} <= 1
                then cast({{ x }} as double)
        end as {{ c }}_argument
    from {{ relation }}
),

{{ c }}_open as (
    select
        *,
        case
            when {{ c }}_argument > 1e-300 and {{ c }}_argument < 1e0 then {{ c }}_argument
        end as {{ c }}_x,
        case
            when {{ c }}_argument > 1e-300 and {{ c }}_argument < 1e0 then -{{ c }}_argument
        end as {{ c }}_minus
    from {{ c }}_parameters
),

{{ c }}_arguments as (
    select
        *,
        1e0 - {{ c }}_x as {{ c }}_y,
        ln({{ c }}_x) as {{ c }}_log_x,
        {{ log1p(c ~ '_minus') }} as {{ c }}_log_y
    from {{ c }}_open
),

{{ incomplete_beta_steps(c ~ '_arguments', c, c ~ '_alpha', c ~ '_beta') }},

{{ name }} as (
    select
        {{ relation_without_columns(
            c,
            c ~ '_alpha, ' ~ c ~ '_beta, ' ~ c ~ '_argument, ' ~ c ~ '_minus, '
            ~ incomplete_beta_columns(c)
        ) }},
        case
            when {{ c }}_alpha is null or {{ c }}_beta is null then null
            when {{ c }}_argument <= 1e-300 then 0e0
            when {{ c }}_argument = 1e0 then 1e0
            else {{ c }}_lower
        end as {{ output }}
        {%- if upper_output is not none %},
        case
            when {{ c }}_alpha is null or {{ c }}_beta is null then null
            when {{ c }}_argument <= 1e-300 then 1e0
            when {{ c }}_argument = 1e0 then 0e0
            else {{ c }}_upper
        end as {{ upper_output }}
        {%- endif %}
    from {{ c }}
)
{%- endmacro %}
