with

partials as (
    select * from {{ ref('int_preference_partials_daily') }}
    where not is_reset
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
    where cut = 'quality'
),

population as (
    select * from {{ ref('int_preference_population') }}
),

user_counts as (
    select
        partials.user_id,
        partials.dimension,
        partials.value,
        cuts.cut_date
        {%- for period, condition in [('before', '<'), ('after', '>=')] %}
        {%- for column in ['trials', 'successes'] %},
        {{ exact_sum(
            'case when partials.event_date ' ~ condition ~ ' cuts.cut_date then partials.' ~ column
            ~ ' else 0e0 end'
        ) }} as {{ column }}_{{ period }}
        {%- endfor %}
        {%- endfor %}
    from partials
    inner join cuts
        on
            partials.event_date < cuts.outcomes_until
            and coalesce(partials.loaded_date < cuts.loaded_before, true)
    inner join population
        on partials.user_id = population.user_id
    group by partials.user_id, partials.dimension, partials.value, cuts.cut_date
),

totals as (
    select
        dimension,
        value,
        cut_date,
        count(case when trials_before > 0e0 then 1 end) as user_count_before,
        count(case when trials_after > 0e0 then 1 end) as user_count_after,
        count(*) as user_count,
        {{ exact_sum('trials_before') }} as trials_before,
        {{ exact_sum('successes_before') }} as successes_before,
        {{ exact_sum('trials_after') }} as trials_after,
        {{ exact_sum('successes_after') }} as successes_after
    from user_counts
    group by dimension, value, cut_date
),

rates as (
    select
        totals.*,
        successes_before / nullif(trials_before, 0e0) as rate_before,
        successes_after / nullif(trials_after, 0e0) as rate_after
    from totals
),

-- a user who was there before and after counts once: users are the clusters of the difference
errors as (
    select
        user_counts.dimension,
        user_counts.value,
        sqrt(
            {{ exact_sum(
                'power('
                ~ '(user_counts.successes_after - rates.rate_after * user_counts.trials_after)'
                ~ ' / rates.trials_after'
                ~ ' - (user_counts.successes_before - rates.rate_before * user_counts.trials_before)'
                ~ ' / rates.trials_before, 2)'
            ) }} * max(rates.user_count) / nullif(max(rates.user_count) - 1e0, 0e0)
        ) as std_error
    from user_counts
    inner join rates
        on
            user_counts.dimension = rates.dimension
            and user_counts.value = rates.value
    where rates.trials_before > 0e0 and rates.trials_after > 0e0
    group by user_counts.dimension, user_counts.value
),

compared as (
    select
        rates.*,
        rate_after - rate_before as drift,
        rate_after - rate_before - 1.959963984540054e0 * errors.std_error as drift_ci_lower,
        rate_after - rate_before + 1.959963984540054e0 * errors.std_error as drift_ci_upper
    from rates
    left join errors
        on
            rates.dimension = errors.dimension
            and rates.value = errors.value
)

select
    dimension,
    value,
    cut_date,
    user_count_before,
    user_count_after,
    rate_before,
    rate_after,
    drift,
    drift_ci_lower,
    drift_ci_upper,
    case
        when
            least(user_count_before, user_count_after)
            < {{ var('preference_quality_minimum_users') }}
            or drift_ci_lower is null
            then 'not_applicable'
        when drift_ci_lower > 0e0 or drift_ci_upper < 0e0 then 'drifting'
        else 'steady'
    end as status
from compared
