{#- Records that say again, under an emitter's other name for the event, what one beside them says. -#}
{{ overwrite_by('int_load_date_versions', 'event_date', ['attribute_aliases']) }}
{#- the second emission follows the first within milliseconds; the rest is for slow machines -#}
{%- set apart_seconds = 5 %}
with

survivors as (
    select * from {{ ref('int_records_deduplicated') }}
    where {{ is_touched('event_date') }}
),

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('event_date') }}
),

aliases as (
    select * from {{ ref('stg_declarations__attribute_aliases') }}
),

names as (
    select
        alias as emitted_name,
        twin_of as pair_name,
        true as is_second
    from aliases
    where kind = 'event' and twin_of is not null
    union
    select
        twin_of as emitted_name,
        twin_of as pair_name,
        false as is_second
    from aliases
    where kind = 'event' and twin_of is not null
),

candidates as (
    select
        survivors.record_key,
        survivors.event_id,
        survivors.event_date,
        survivors.event_name,
        survivors.occurred_at,
        names.is_second,
        records.attributes,
        concat_ws(
            '|', names.pair_name, survivors.event_name, coalesce(survivors.pseudonym, ''),
            coalesce(survivors.session_id, ''), coalesce(survivors.trace_id, ''),
            coalesce(survivors.span_id, '')
        ) as said_by
    from survivors
    inner join records
        on survivors.record_key = records.record_key
    inner join names
        on records.emitted_name = names.emitted_name
),

emitted as (
    {{ exploded_attributes('candidates', ['record_key', 'event_name']) }}
),

-- the same attribute may have another name on the twin, or stand there under both
said as (
    select distinct
        emitted.record_key,
        coalesce(
            aliases.canonical_name, replace(emitted.attribute, 'copilot_chat.', 'github.copilot.')
        ) as attribute,
        emitted.value
    from emitted
    left join aliases
        on
            aliases.kind = 'attribute'
            and emitted.attribute = aliases.alias
            and (
                aliases.on_events is null
                or concat(';', aliases.on_events, ';') like concat('%;', emitted.event_name, ';%')
            )
    where
        emitted.attribute not in (
            'event.name', 'event.sequence', 'event.timestamp', 'log.record.uid'
        )
),

payloads as (
    select
        record_key,
        {{ sorted_digest("concat(attribute, '=', coalesce(value, ''))") }} as payload,
        max(case when attribute in ('response.id', 'suggestion.id', 'gen_ai.tool.call.id') then 1 end)
            as names_its_subject
    from said
    group by record_key
),

ordered as (
    select
        candidates.record_key,
        candidates.event_id,
        candidates.event_date,
        candidates.occurred_at,
        candidates.is_second,
        concat_ws('|', candidates.said_by, coalesce(payloads.payload, '')) as statement,
        coalesce(payloads.names_its_subject, 0) as names_its_subject,
        lag(candidates.occurred_at) over (
            partition by candidates.event_date, candidates.said_by, payloads.payload
            order by candidates.occurred_at, candidates.event_id
        ) as previous_at
    from candidates
    left join payloads
        on candidates.record_key = payloads.record_key
),

-- what names its subject is the same statement whenever it is made; the rest must be close in time
grouped as (
    select
        ordered.*,
        sum(
            case
                when names_its_subject = 1 or previous_at is null then 0
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
)

select
    seconds.event_date,
    seconds.record_key,
    seconds.event_id,
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
