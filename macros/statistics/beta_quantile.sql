{# CTEs, the last one called `name`: the relation plus `output`, the x with
   I_x(alpha, beta) = probability: the limits of a credible interval. For alpha and beta from 1e-3
   to 1e7 and probabilities from 1e-3 to 1 - 1e-3 the error of x is within 1e-9. Values under
   1e-260 come as about 1e-261, their complements as 1. Null where an argument is null or outside
   its range.

   Start: the log odds have cumulants psi(alpha) - psi(beta), ... (Johnson, Kotz and Balakrishnan,
   1995), from which Cornish and Fisher's first term; below alpha or beta of 1 the power laws of
   both ends (Press et al., 2007, section 6.4). Then three of Halley's steps for the logarithm of
   the smaller tail in the log odds, where it is concave, so that no step can run away. #}
{% macro beta_quantile(relation, probability, alpha, beta, output, name) -%}
{%- set c = name ~ '_' ~ output -%}
{%- set a = c ~ '_a' -%}
{%- set b = c ~ '_b' -%}
{{ c }}_parameters as (
    select
        {{ relation }}.*,
        case
            when {{ alpha }} >= 1e-6 and {{ alpha }} < 1e15 then cast({{ alpha }} as double)
        end as {{ a }},
        case
            when {{ beta }} >= 1e-6 and {{ beta }} < 1e15 then cast({{ beta }} as double)
        end as {{ b }},
        case
            when {{ probability }} > 0 and {{ probability }} < 1
                then cast({{ probability }} as double)
        end as {{ c }}_p
    from {{ relation }}
),

{{ c }}_cumulants as (
    select
        *,
        {%- for sign, parameter in [('a', a), ('b', b)] %}
        {%- set raised -%}
            (case when {{ parameter }} < 1e0 then 1e0 else {{ parameter }} end)
        {%- endset %}
        ln({{ raised }} - 5e-1)
        + 1e0 / (24e0 * ({{ raised }} - 5e-1) * ({{ raised }} - 5e-1)) as {{ c }}_mean_{{ sign }},
        (1e0 + (5e-1 + 1.6666666666666667e-1 / {{ raised }}) / {{ raised }}) / {{ raised }}
            as {{ c }}_variance_{{ sign }},
        (1e0 + (1e0 + 5e-1 / {{ raised }}) / {{ raised }}) / {{ raised }} / {{ raised }}
            as {{ c }}_skew_{{ sign }},
        exp({{ parameter }} * ln({{ parameter }} / ({{ a }} + {{ b }}))) / {{ parameter }}
            as {{ c }}_end_{{ sign }},
        {%- endfor %}
        {{ normal_quantile(c ~ '_p') }} as {{ c }}_z
    from {{ c }}_parameters
),

{{ c }}_ends as (
    select
        *,
        {{ c }}_p * ({{ c }}_end_a + {{ c }}_end_b) < {{ c }}_end_a as {{ c }}_is_low,
        case
            when {{ c }}_p * ({{ c }}_end_a + {{ c }}_end_b) < {{ c }}_end_a
                then ln(nullif({{ a }} * {{ c }}_p * ({{ c }}_end_a + {{ c }}_end_b), 0e0))
                    / {{ a }}
            else ln(nullif({{ b }} * (1e0 - {{ c }}_p) * ({{ c }}_end_a + {{ c }}_end_b), 0e0))
                / {{ b }}
        end as {{ c }}_log_end
    from {{ c }}_cumulants
),

{{ c }}_start as (
    select
        *,
        case
            when {{ a }} >= 1e0 and {{ b }} >= 1e0 then {{ c }}_mean_a - {{ c }}_mean_b
                + sqrt({{ c }}_variance_a + {{ c }}_variance_b) * {{ c }}_z
                + ({{ c }}_z * {{ c }}_z - 1e0) / 6e0 * ({{ c }}_skew_b - {{ c }}_skew_a)
                / ({{ c }}_variance_a + {{ c }}_variance_b)
            else case when {{ c }}_is_low then 1e0 else -1e0 end * (
                {{ c }}_log_end - ln(case
                    when {{ c }}_log_end < -1e-8 then 1e0 - exp({{ c }}_log_end)
                    when {{ c }}_log_end < -1e-300 then -{{ c }}_log_end
                    else 1e-300
                end)
            )
        end as {{ c }}_r0_u
    from {{ c }}_ends
),

{{ c }}_halley0 as (
    select
        *,
        case
            when {{ c }}_r0_u > 6e2 then 6e2
            when {{ c }}_r0_u < -6e2 then -6e2
            else {{ c }}_r0_u
        end as {{ c }}_u0,
        exp(-case when abs({{ c }}_r0_u) < 6e2 then abs({{ c }}_r0_u) else 6e2 end) as {{ c }}_e0
    from {{ c }}_start
),

{%- for step in [1, 2, 3] %}
{%- set u = c ~ '_u' ~ (step - 1) %}
{%- set t = c ~ '_tail' ~ step %}
{%- set r = c ~ '_r' ~ step %}
{%- set e = c ~ '_e' ~ (step - 1) %}
{%- set smaller -%}
    case
        when {{ c }}_p < 5e-1
            then case when {{ t }}_lower > 1e-300 then {{ t }}_lower else 1e-300 end
        else case when {{ t }}_upper > 1e-300 then {{ t }}_upper else 1e-300 end
    end
{%- endset %}
{%- set miss -%}
    ln({{ smaller }} / case when {{ c }}_p < 5e-1 then {{ c }}_p else 1e0 - {{ c }}_p end)
{%- endset %}
{%- set slope -%}
    (case when {{ c }}_p < 5e-1 then 1e0 else -1e0 end * {{ t }}_density / {{ smaller }})
{%- endset %}
{%- set bend = a ~ ' * ' ~ t ~ '_y - ' ~ b ~ ' * ' ~ t ~ '_x - ' ~ slope %}

{{ c }}_arguments{{ step }} as (
    select
        *,
        case when {{ u }} < 0e0 then {{ e }} else 1e0 end / (1e0 + {{ e }}) as {{ t }}_x,
        case when {{ u }} < 0e0 then 1e0 else {{ e }} end / (1e0 + {{ e }}) as {{ t }}_y,
        case when {{ u }} < 0e0 then {{ u }} else 0e0 end
        - ({{ log1p(e) }}) as {{ t }}_log_x,
        case when {{ u }} < 0e0 then 0e0 else -{{ u }} end
        - ({{ log1p(e) }}) as {{ t }}_log_y
    from {{ c }}_halley{{ step - 1 }}
),

{{ incomplete_beta_steps(c ~ '_arguments' ~ step, t, a, b) }},

{{ c }}_moves{{ step }} as (
    select
        *,
        -- Halley: miss / slope, divided by 1 - miss / slope / 2 * bend where that is not too small
        {{ u }} - coalesce(
            {{ miss }} / nullif({{ slope }}, 0e0) / case
                when {{ miss }} / nullif({{ slope }}, 0e0) * ({{ bend }}) < 1e0
                    then 1e0 - {{ miss }} / nullif({{ slope }}, 0e0) / 2e0 * ({{ bend }})
                else 5e-1
            end,
            0e0
        ) as {{ r }}_u
    from {{ t }}
),

{{ c }}_halley{{ step }} as (
    select
        *,
        case
            when {{ r }}_u > 6e2 then 6e2
            when {{ r }}_u < -6e2 then -6e2
            else {{ r }}_u
        end as {{ c }}_u{{ step }},
        exp(-case when abs({{ r }}_u) < 6e2 then abs({{ r }}_u) else 6e2 end) as {{ c }}_e{{ step }}
    from {{ c }}_moves{{ step }}
),
{%- endfor %}

{{ name }} as (
    select
        {{ relation_without_columns(
            c ~ '_halley3',
            c ~ '_' ~ [
                'a', 'b', 'p', 'mean_a', 'variance_a', 'skew_a', 'end_a', 'mean_b', 'variance_b',
                'skew_b', 'end_b', 'z', 'is_low', 'log_end', 'r0_u', 'u0', 'e0', 'r1_u', 'u1', 'e1',
                'r2_u', 'u2', 'e2', 'r3_u', 'u3', 'e3',
            ] | join(', ' ~ c ~ '_')
            ~ ', ' ~ incomplete_beta_columns(c ~ '_tail1')
            ~ ', ' ~ incomplete_beta_columns(c ~ '_tail2')
            ~ ', ' ~ incomplete_beta_columns(c ~ '_tail3')
        ) }},
        case when {{ c }}_u3 < 0e0 then {{ c }}_e3 when {{ c }}_u3 >= 0e0 then 1e0 end
        / (1e0 + {{ c }}_e3) as {{ output }}
    from {{ c }}_halley3
)
{%- endmacro %}
