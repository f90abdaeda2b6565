{#- Moments of disjoint units merge by addition; the latest value of each unit counts. All units
    together need no segments: joined to each of its values they would cost more than the sums. -#}
{%- set shapes = [
    ("kind != 'ratio' and covariate_numerator is null", ['numerator'], ['denominator']),
    (
        "kind != 'ratio' and covariate_numerator is not null",
        ['numerator', 'covariate_numerator'], ['denominator', 'covariate_denominator'],
    ),
    ("kind = 'ratio' and covariate_numerator is null", ['numerator', 'denominator'], []),
    ("kind = 'ratio' and covariate_numerator is not null", moment_parts(), []),
] -%}
{{ overwrite_by('int_experiment_versions', 'experiment_name') }}
{%- set touched = is_touched('experiment_name') %}
with

arms as (
    select * from {{ ref('int_experiment_arms') }}
),

unit_segments as (
    select * from {{ ref('int_experiment_unit_segments') }}
    where segment_name != 'all'
),

-- each sum reads the units' values itself: a shared CTE would be copied in whole first
unsegmented_sums as (
    {%- for condition, varying, ones in shapes %}
    select
        arm_key,
        'all' as segment_name,
        'all' as segment_value,
        {{ moment_sums(varying, ones) }}
    from {{ ref('int_experiment_unit_values') }}
    where is_latest and {{ condition }} and {{ touched }}
    group by arm_key
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

segmented as (
    select
        unit_values.*,
        unit_segments.segment_name,
        unit_segments.segment_value
    from {{ ref('int_experiment_unit_values') }} as unit_values
    inner join unit_segments
        on
            unit_values.experiment_name = unit_segments.experiment_name
            and unit_values.unit_id = unit_segments.unit_id
    where unit_values.is_latest and {{ is_touched('unit_values.experiment_name') }}
),

sums as (
    select * from unsegmented_sums
    union all
    select
        arm_key,
        segment_name,
        segment_value,
        {{ moment_sums() }}
    from segmented
    group by arm_key, segment_name, segment_value
)

select
    arms.experiment_name,
    arms.metric_name,
    arms.kind,
    arms.variant,
    sums.segment_name,
    sums.segment_value
    {%- for column in moment_columns() %},
    sums.{{ column }}
    {%- endfor %}
from sums
inner join arms
    on sums.arm_key = arms.arm_key
