{#- The values at which metrics are capped: the declared quantile over the units, zeros included, the
    same units for both parts of a ratio. -#}
{% macro metric_caps(relation, name) -%}
{{ name }}_ranked as (
    select
        *,
        {%- for part in ['numerator', 'denominator'] %}
        row_number() over (
            partition by experiment_name, metric_name order by {{ part }}
        ) as {{ part }}_rank,
        {%- endfor %}
        count(*) over (partition by experiment_name, metric_name) as units
    from {{ relation }}
    where cap_quantile is not null
),

{{ name }} as (
    select
        experiment_name,
        metric_name,
        cap_quantile,
        sum({{ quantile_share('numerator', 'numerator_rank', 'units', 'cap_quantile') }})
            as numerator_cap,
        case
            when max(kind) = 'ratio'
                then sum({{ quantile_share(
                    'denominator', 'denominator_rank', 'units', 'cap_quantile'
                ) }})
        end as denominator_cap
    from {{ name }}_ranked
    group by experiment_name, metric_name, cap_quantile
)
{%- endmacro %}
