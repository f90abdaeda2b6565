{#- Moments as they stood at the end of each day. Moments of the same units on several days are
    never added: a change takes the unit's earlier value back before it adds the new one. -#}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
with

unit_values as (
    select * from {{ ref('int_experiment_unit_values') }}
    where {{ is_touched('experiment_name') }}
),

changes as (
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        as_of_date,
        has_history,
        1 as sign
        {%- for part in moment_parts() %},
        raw_{{ part }},
        {{ part }}
        {%- endfor %}
    from unit_values
    union all
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        lead(as_of_date) over unit_days as as_of_date,
        has_history,
        -1 as sign
        {%- for part in moment_parts() %},
        raw_{{ part }},
        {{ part }}
        {%- endfor %}
    from unit_values
    window unit_days as (
        partition by experiment_name, metric_name, unit_id order by as_of_date
    )
),

-- latest rows have no later date on which to be taken back
change_sums as (
    select
        experiment_name,
        metric_name,
        kind,
        variant,
        as_of_date,
        {{ moment_sums(sign='sign') }}
    from changes
    where as_of_date is not null
    group by experiment_name, metric_name, kind, variant, as_of_date
),

bounds as (
    select
        experiment_name,
        min(as_of_date) as first_date,
        max(as_of_date) as last_date
    from change_sums
    group by experiment_name
),

dates as (
    select
        experiment_name,
        {{ date_series('first_date', 'last_date') }} as as_of_date
    from bounds
),

arms as (
    select distinct
        experiment_name,
        metric_name,
        kind,
        variant
    from change_sums
),

running as (
    select
        arms.experiment_name,
        arms.metric_name,
        arms.kind,
        arms.variant,
        dates.as_of_date
        {%- for column in moment_columns() %},
        sum(change_sums.{{ column }}) over arm_so_far as {{ column }}
        {%- endfor %}
    from arms
    inner join dates
        on arms.experiment_name = dates.experiment_name
    left join change_sums
        on
            arms.experiment_name = change_sums.experiment_name
            and arms.metric_name = change_sums.metric_name
            and arms.variant = change_sums.variant
            and dates.as_of_date = change_sums.as_of_date
    window arm_so_far as (
        partition by arms.experiment_name, arms.metric_name, arms.variant
        order by dates.as_of_date
        rows between unbounded preceding and current row
    )
)

select
    experiment_name,
    metric_name,
    kind,
    variant,
    as_of_date
    {%- for column in moment_columns() %},
    {{ 'cast(' ~ column ~ ' as bigint)' if column.startswith('units') else column }} as {{ column }}
    {%- endfor %}
from running
where units > 0
