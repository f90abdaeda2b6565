{#- What records with a second name say, as a digest that is equal under both names. -#}
{{ overwrite_by('int_batch_versions', 'batch_id', ['attribute_aliases']) }}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
    where {{ is_touched('batch_id') }}
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
        records.record_key,
        records.batch_id,
        records.event_id,
        records.event_date,
        records.unit_part,
        records.event_name,
        records.occurred_at,
        names.is_second,
        records.attributes,
        concat_ws(
            '|', names.pair_name, records.event_name, coalesce(records.user_id, ''),
            coalesce(records.session_id, ''), coalesce(records.trace_id, ''),
            coalesce(records.span_id, '')
        ) as said_by
    from records
    inner join names
        on records.emitted_name = names.emitted_name
),

emitted as (
    {{ exploded_attributes('candidates', ['record_key', 'event_name']) }}
),

-- an alias holds on the events that it names, or on all
aliases_by_event as (
    select
        names.event_name,
        aliases.alias,
        aliases.canonical_name
    from (select distinct candidates.event_name from candidates) as names
    inner join aliases
        on
            aliases.kind = 'attribute'
            and (
                aliases.on_events is null
                or concat(';', aliases.on_events, ';') like concat('%;', names.event_name, ';%')
            )
),

-- the same attribute may have another name on the twin, or stand there under both
said as (
    select distinct
        emitted.record_key,
        coalesce(
            aliases_by_event.canonical_name,
            replace(emitted.attribute, 'copilot_chat.', 'github.copilot.')
        ) as attribute,
        emitted.value
    from emitted
    left join aliases_by_event
        on
            emitted.event_name = aliases_by_event.event_name
            and emitted.attribute = aliases_by_event.alias
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
)

select
    candidates.record_key,
    candidates.batch_id,
    candidates.event_id,
    candidates.event_date,
    candidates.unit_part,
    -- a second emission may lie on the day after
    concat(
        cast({{ date_plus('candidates.event_date', 1) }} as string), '/',
        {{ bucket_in('candidates.unit_part') }}
    ) as next_part,
    candidates.occurred_at,
    candidates.is_second,
    md5(concat_ws('|', candidates.said_by, coalesce(payloads.payload, ''))) as statement,
    coalesce(payloads.names_its_subject, 0) = 1 as names_its_subject
from candidates
left join payloads
    on candidates.record_key = payloads.record_key
