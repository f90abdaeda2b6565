{# CTEs, the last one called `name`: the relation plus `output`, the probability that Student's t is
   beyond the statistic. True tails, no floor; below 1e-307 only the logarithm (`log_output`) is
   exact. Null where an argument is null or not finite, the degrees of freedom are not positive, or
   the statistic is beyond 1e150. #}
{% macro student_t_tail(
    relation, statistic, degrees_of_freedom, output, name, tail='two_sided', log_output=none
) -%}
{%- if tail not in ['two_sided', 'upper'] -%}
    {{ exceptions.raise_compiler_error(
        "student_t_tail: tail is '" ~ tail ~ "'; use 'two_sided' or 'upper'"
    ) }}
{%- endif -%}
{%- set c = name ~ '_' ~ output -%}
{{ c }}_parameters as (
    select
        {{ relation }}.*,
        case
            when {{ degrees_of_freedom }} >= 1e-3 and {{ degrees_of_freedom }} < 1e25
                and abs({{ statistic }}) < 1e150
                then cast(abs({{ statistic }}) as double)
        end as {{ c }}_t,
        case
            when {{ degrees_of_freedom }} >= 1e-3 and {{ degrees_of_freedom }} < 1e25
                then cast({{ degrees_of_freedom }} as double)
        end as {{ c }}_v,
        {{ statistic }} > 0 as {{ c }}_is_positive
    from {{ relation }}
),

{{ student_t_log_tail_steps(c ~ '_parameters', c, c ~ '_t', c ~ '_v') }},

{{ name }} as (
    select
        {{ relation_without_columns(
            c, c ~ '_t, ' ~ c ~ '_v, ' ~ c ~ '_is_positive, ' ~ student_t_log_tail_columns(c)
        ) }},
        {%- if tail == 'two_sided' %}
        {{ c }}_tail as {{ output }}
        {%- else %}
        case
            when {{ c }}_is_positive then {{ c }}_tail / 2e0
            else 1e0 - {{ c }}_tail / 2e0
        end as {{ output }}
        {%- endif %}
        {%- if log_output is not none %},
        {%- if tail == 'two_sided' %}
        {{ c }}_log_tail as {{ log_output }}
        {%- else %}
        case
            when {{ c }}_is_positive then {{ c }}_log_tail - 0.6931471805599453e0
            else ln(1e0 - case when {{ c }}_is_positive then 0e0 else {{ c }}_tail / 2e0 end)
        end as {{ log_output }}
        {%- endif %}
        {%- endif %}
    from {{ c }}
)
{%- endmacro %}
