{#- Choices of an action at a declared decision point, with what was known when it was chosen. -#}
{%- set parts = [1, 2, 3] %}
with

exposures as (
    select * from {{ ref('int_exposures_resolved') }}
),

decision_points as (
    select * from {{ ref('stg_declarations__decision_points') }}
),

context_bins as (
    select * from {{ ref('stg_declarations__context_bins') }}
),

excluded as (
    select * from {{ ref('int_units_excluded') }}
),

matched as (
    select
        exposures.*
        {%- for part in parts %},
            nullif(trim(split_part(decision_points.context_attribute, ';', {{ part }})), '')
                as attribute_{{ part }}
        {%- endfor %}
    from exposures
    inner join decision_points
        on exposures.flag_key = decision_points.decision_point
    left join excluded
        on exposures.unit_id = excluded.unit_id
    where excluded.unit_id is null
),

binned as (
    select
        matched.*
        {%- for part in parts %},
            coalesce(
                bins_{{ part }}.bin,
                nullif(matched.attributes[matched.attribute_{{ part }}], '')
            ) as context_{{ part }}
        {%- endfor %}
    from matched
    {%- for part in parts %}
        {%- set number = safe_cast_text(
            'matched.attributes[matched.attribute_' ~ part ~ ']', 'double'
        ) %}
        left join context_bins as bins_{{ part }}
            on
                matched.attribute_{{ part }} = bins_{{ part }}.attribute
                and {{ number }} >= coalesce(bins_{{ part }}.lower, -1e300)
                and {{ number }} < coalesce(bins_{{ part }}.upper, 1e300)
    {%- endfor %}
),

-- the log event and the span event of one choice are twins
merged as (
    select
        flag_key,
        variant,
        unit_id,
        trace_id,
        coalesce(position, 0) as position,
        min(occurred_at) as occurred_at,
        min_by(event_id, {{ order_key('occurred_at', 'event_id') }}) as event_id,
        max(user_id) as user_id,
        min(session_id) as session_id,
        min(organization_id) as organization_id,
        max(reason) as reason,
        max(propensity) as propensity
        {%- for part in parts %},
            case
                when max(attribute_{{ part }}) is not null
                    then coalesce(max(context_{{ part }}), 'missing')
            end as context_{{ part }}
        {%- endfor %}
    from binned
    group by
        flag_key,
        variant,
        unit_id,
        trace_id,
        coalesce(position, 0),
        case when trace_id is null then event_id end
)

select
    event_id,
    flag_key as decision_point,
    cast(occurred_at as date) as event_date,
    occurred_at,
    user_id,
    session_id,
    organization_id,
    unit_id,
    trace_id,
    reason,
    coalesce(nullif(concat_ws(',', context_1, context_2, context_3), ''), 'all') as context,
    position,
    variant as action,
    propensity
from merged
