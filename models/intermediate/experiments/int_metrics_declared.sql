{#- What the metric YAML says, as rows: the models after this one read no YAML. -#}
{%- set definitions = metric_definitions() if execute else [] %}
with

declared as (
    {%- for metric in definitions %}
    select
        '{{ metric.name }}' as metric_name,
        '{{ metric.kind }}' as kind,
        '{{ metric.better }}' as better,
        cast({{ metric.options.get('window_days') or 'null' }} as double) as window_days,
        cast({{ metric.options.get('delay_days') or 0 }} as double) as delay_days,
        cast({{ metric.options.get('covariate_days') or 'null' }} as double) as covariate_days,
        cast({{ metric.options.get('cap_quantile') or 'null' }} as double) as cap_quantile,
        cast({{ metric.options.get('quantile') or 'null' }} as double) as quantile
    union all
    {%- endfor %}
    select
        cast(null as string) as metric_name,
        cast(null as string) as kind,
        cast(null as string) as better,
        cast(null as double) as window_days,
        cast(null as double) as delay_days,
        cast(null as double) as covariate_days,
        cast(null as double) as cap_quantile,
        cast(null as double) as quantile
)

select * from declared
where metric_name is not null
