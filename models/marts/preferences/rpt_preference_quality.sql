{%- set keys = ['cut', 'dimension', 'model', 'baseline', 'metric', 'user_group'] %}
{%- set lowest = var('preference_coverage_minimum') ~ 'e0 - 0.9e0' %}
{%- set highest = var('preference_coverage_maximum') ~ 'e0 - 0.9e0' %}
with

comparisons as (
    select * from {{ ref('int_preference_comparisons') }}
),

cuts as (
    select * from {{ ref('int_preference_cuts') }}
),

half_lives as (
    select * from {{ ref('int_preference_half_lives') }}
    where half_life_days is not null
),

{{ clustered_means('comparisons', 'gain', 'weight', keys, name='gains') }},

levels as (
    select
        {{ keys | join(', ') }},
        {{ exact_sum('total') }} / nullif({{ exact_sum('weight') }}, 0e0) as value,
        {{ exact_sum('baseline_total') }} / nullif({{ exact_sum('weight') }}, 0e0)
            as baseline_value
    from comparisons
    group by {{ keys | join(', ') }}
),

compared as (
    select
        gains.cut,
        gains.dimension,
        gains.model,
        gains.baseline,
        gains.metric,
        gains.user_group,
        gains.user_count,
        gains.weight,
        levels.value,
        levels.baseline_value,
        gains.mean as gain,
        gains.ci_lower as gain_ci_lower,
        gains.ci_upper as gain_ci_upper
    from gains
    inner join levels
        on
            {%- for key in keys %}
            {{ 'and ' if not loop.first }}gains.{{ key }} = levels.{{ key }}
            {%- endfor %}
    union all
    select
        'half_life' as cut,
        dimension,
        'declared_half_life' as model,
        'no_half_life' as baseline,
        'log_loss' as metric,
        'all' as user_group,
        user_count,
        weight,
        cast(null as double) as value,
        cast(null as double) as baseline_value,
        gain,
        gain_ci_lower,
        gain_ci_upper
    from half_lives
),

judged as (
    select
        compared.*,
        cuts.cut_date,
        compared.cut = 'quality'
        and compared.user_group = 'all'
        and compared.baseline in ('popularity', 'nominal') as is_gate,
        case
            when compared.user_count < {{ var('preference_quality_minimum_users') }}
                then 'not_applicable'
            when compared.gain_ci_lower is null then 'not_applicable'
            when
                compared.metric = 'coverage'
                and (
                    compared.gain_ci_upper < {{ lowest }}
                    or compared.gain_ci_lower > {{ highest }}
                )
                then 'fail'
            when compared.metric != 'coverage' and compared.gain_ci_upper < 0e0 then 'fail'
            else 'pass'
        end as status
    from compared
    left join cuts
        on compared.cut = cuts.cut
)

select
    dimension,
    model,
    cut,
    cut_date,
    baseline,
    metric,
    user_group,
    user_count,
    weight,
    value,
    baseline_value,
    gain,
    gain_ci_lower,
    gain_ci_upper,
    metric != 'coverage' and coalesce(gain_ci_lower > 0e0, false) as is_significant,
    is_gate,
    status,
    concat(
        case
            when gain_ci_lower is null then 'no interval'
            when
                metric = 'coverage'
                and (gain_ci_upper < {{ lowest }} or gain_ci_lower > {{ highest }})
                then 'the whole interval of the coverage lies outside what is allowed'
            when metric = 'coverage' then 'the interval of the coverage reaches what is allowed'
            when gain_ci_upper < 0e0 then 'worse than the baseline: the whole interval is below 0'
            when gain_ci_lower > 0e0 then 'better than the baseline: the whole interval is above 0'
            else 'not significant: the interval holds 0'
        end,
        case
            when user_count < {{ var('preference_quality_minimum_users') }} then concat(
                '; too few users to judge: ', user_count, ' of ',
                {{ var('preference_quality_minimum_users') }}
            )
            else ''
        end
    ) as reason
from judged
