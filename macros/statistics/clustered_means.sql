{# CTEs, the last one called `name`: per group of `columns` the weighted mean of what clusters add up
   to, `mean` = sum of `total` / sum of `weight`, with its 95% interval by linearisation (Cochran
   1977, section 6.3) and `cluster_count`. The relation has one row per cluster; the interval is null
   below two. #}
{% macro clustered_means(relation, total, weight, columns, name) -%}
{{ name }}_ratios as (
    select
        {{ columns | join(', ') }},
        count(*) as user_count,
        {{ exact_sum(total) }} / nullif({{ exact_sum(weight) }}, 0e0) as mean,
        {{ exact_sum(weight) }} as weight
    from {{ relation }}
    group by {{ columns | join(', ') }}
),

{{ name }}_errors as (
    select
        {%- for column in columns %}
        ratios.{{ column }},
        {%- endfor %}
        sqrt(
            {{ exact_sum(
                'power(clusters.' ~ total ~ ' - ratios.mean * clusters.' ~ weight ~ ', 2)'
            ) }}
            * max(ratios.user_count) / nullif(max(ratios.user_count) - 1e0, 0e0)
        ) / nullif(max(ratios.weight), 0e0) as std_error
    from {{ relation }} as clusters
    inner join {{ name }}_ratios as ratios
        on
            {%- for column in columns %}
            {{ 'and ' if not loop.first }}clusters.{{ column }} = ratios.{{ column }}
            {%- endfor %}
    group by
        {%- for column in columns %}
        ratios.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
),

{{ name }} as (
    select
        ratios.*,
        errors.std_error,
        ratios.mean - 1.959963984540054e0 * errors.std_error as ci_lower,
        ratios.mean + 1.959963984540054e0 * errors.std_error as ci_upper
    from {{ name }}_ratios as ratios
    inner join {{ name }}_errors as errors
        on
            {%- for column in columns %}
            {{ 'and ' if not loop.first }}ratios.{{ column }} = errors.{{ column }}
            {%- endfor %}
)
{%- endmacro %}
