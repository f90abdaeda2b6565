{#- Records that say again, under an emitter's other name for the event, what one beside them says. -#}
{{ overwrite_by('int_twin_part_versions', 'unit_part') }}
{%- set apart_seconds = var('twins_apart_seconds') %}
{%- set midnight = 'cast(event_date as timestamp)' %}
{%- set next_midnight = add_time('cast(event_date as timestamp)', 1, 'day') %}
with

repeated as (
    select * from {{ ref('int_records_repeated') }}
),

statements as (
    select statements.*
    from {{ ref('int_twin_statements') }} as statements
    left join repeated
        on statements.record_key = repeated.record_key
    where
        repeated.record_key is null
        and (
            {{ is_touched('statements.unit_part', dated=false) }}
            or {{ is_touched('statements.next_part', dated=false) }}
        )
),

ordered as (
    select
        statements.*,
        lag(occurred_at) over (
            partition by event_date, statement
            order by occurred_at, event_id
        ) as previous_at
    from statements
),

-- what names its subject is the same statement whenever it is made; the rest must be close in time
grouped as (
    select
        ordered.*,
        sum(
            case
                when names_its_subject or previous_at is null then 0
                when {{ seconds_between('previous_at', 'occurred_at') }} > {{ apart_seconds }} then 1
                else 0
            end
        ) over (
            partition by event_date, statement
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as group_number
    from ordered
),

-- a statement made twice under both names is two: the first of one name goes with the first of the other
numbered as (
    select
        grouped.*,
        row_number() over (
            partition by event_date, statement, group_number, is_second
            order by occurred_at, event_id
        ) as statement_number
    from grouped
),

same_day as (
    select
        seconds.event_date,
        seconds.unit_part,
        seconds.record_key,
        seconds.event_id,
        firsts.record_key as twin_record_key,
        firsts.event_id as twin_event_id
    from numbered as seconds
    inner join numbered as firsts
        on
            seconds.event_date = firsts.event_date
            and seconds.statement = firsts.statement
            and seconds.group_number = firsts.group_number
            and seconds.statement_number = firsts.statement_number
            and seconds.is_second
            and not firsts.is_second
),

paired as (
    select record_key from same_day
    union all
    select twin_record_key as record_key from same_day
),

unpaired as (
    select statements.*
    from statements
    left join paired
        on statements.record_key = paired.record_key
    where paired.record_key is null
),

around_midnight as (
    select
        unpaired.*,
        case when is_second then event_date else {{ date_plus('event_date', 1) }} end as second_date
    from unpaired
    where
        case
            when is_second then {{ seconds_between(midnight, 'occurred_at') }}
            else {{ seconds_between('occurred_at', next_midnight) }}
        end <= {{ apart_seconds }}
),

across_midnight as (
    select
        around_midnight.*,
        row_number() over (
            partition by second_date, statement, is_second
            order by occurred_at, event_id
        ) as statement_number
    from around_midnight
)

select
    event_date,
    unit_part,
    record_key,
    event_id,
    twin_event_id
from same_day
where {{ is_touched('unit_part', dated=false) }}
union all
select
    seconds.event_date,
    seconds.unit_part,
    seconds.record_key,
    seconds.event_id,
    firsts.event_id as twin_event_id
from across_midnight as seconds
inner join across_midnight as firsts
    on
        seconds.second_date = firsts.second_date
        and seconds.statement = firsts.statement
        and seconds.statement_number = firsts.statement_number
        and seconds.is_second
        and not firsts.is_second
where {{ is_touched('seconds.unit_part', dated=false) }}
